"""Output of workers without their secrets, for whoever reads a part of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from protocols.redaction import Redaction, Redactor

__all__ = ["Part", "redact_screen"]


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a stream, from ``start`` on; all that there are where ``length`` is None."""

    redactor: Redactor
    start: int = 0
    length: int | None = None

    @property
    def wider(self) -> tuple[int, int | None]:
        """The part that has to be read: with the secrets that begin before it, or end behind it."""
        more = self.redactor.longest
        begin = max(self.start - more, 0)
        return begin, None if self.length is None else self.start - begin + self.length + more

    def redact(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """What is to be shown of the wider part."""
        if not self.redactor.patterns:
            yield from chunks
            return
        skipped = self.start - self.wider[0]
        redaction = Redaction(self.redactor, skipped, inf if self.length is None else skipped + self.length)
        for chunk in chunks:
            yield redaction.feed(chunk)
        yield redaction.finish()


def redact_screen(redactor: Redactor, rows: tuple[str, ...], columns: int) -> tuple[str, ...]:
    """The rows of a screen with stars in place of secrets, those too that its width has broken."""
    if not redactor.patterns:
        return rows
    text = "".join(row.ljust(columns) for row in rows)
    ends = (
        [len(text[:index].encode()) for index in range(len(text) + 1)] if not text.isascii() else range(len(text) + 1)
    )
    hidden = redactor.spans(text.encode())
    shown = "".join("*" if any(s <= ends[at] < e for s, e, _ in hidden) else text[at] for at in range(len(text)))
    rest, lines = shown, []
    for row in rows:
        width = max(len(row), columns)
        lines.append(rest[:width].rstrip())
        rest = rest[width:]
    return tuple(lines)
