"""What sessions say and do as readable text, in clear blocks that are never torn by another.

Text comes as it streams. While one block is open the others wait for it; where it stands still while they do, it is
interrupted, and goes on later under its heading with ``continued`` in it.
"""

from dataclasses import dataclass, field

__all__ = ["SessionText"]

_PATIENCE = 2.0  # seconds without a character of the open block, after which the others are let through
_WAITING = 256 * 1024  # characters of one that waits: then it is let through, too


@dataclass(slots=True)
class _Block:
    kind: str
    about: str
    label: str
    under: str
    waiting: list[str] = field(default_factory=list)
    size: int = 0
    """Characters that wait."""
    begun: bool = False
    """Its heading is written, and nothing else since."""
    interrupted: bool = False
    closed: bool = False

    @property
    def waits(self) -> bool:
        return bool(self.waiting) or self.closed

    def heading(self, *, under: bool) -> str:
        label = f"[{self.label}] " if self.label else ""
        about = f" {self.about}" if self.about and not under else ""
        kind = f"{self.kind.removesuffix(' continued')} continued" if self.interrupted else self.kind
        return f"{label}[{kind}]{about}\n"

    def take(self) -> str:
        text, self.size = "".join(self.waiting), 0
        self.waiting.clear()
        return text


@dataclass(slots=True)
class SessionText:
    """Each call returns what to write now, most often all of it; control characters of agents pass as they are.

    A block has a name, a heading ``[KIND] about`` behind a label that says whose it is, and text. One that comes right
    behind the one that it belongs ``under`` stands under it, and needs not say what it is about.
    """

    _blocks: dict[str, _Block] = field(default_factory=dict)
    """All that are not done; those that wait in the order in which they came."""
    _open: str = ""
    _open_at: float = 0.0
    """When something of the open one came last."""
    _inline: bool = False
    """What was written last has no line end."""
    _single: bool = True
    """The block before is one line; or there is none."""
    _last: str = ""
    """The block that was written last."""
    _added: int = 0

    @property
    def due_at(self) -> float | None:
        """When to call `tick`, where nothing comes until then; None: nothing waits."""
        if not any(each.waits for name, each in self._blocks.items() if name != self._open):
            return None
        return self._open_at + _PATIENCE

    def grow(
        self, block: str, kind: str, text: str, at: float, *, about: str = "", label: str = "", under: str = ""
    ) -> str:
        """Append to a block, which stays open."""
        each = self._blocks.setdefault(block, _Block(kind, about, label, under))
        each.waiting.append(text)
        each.size += len(text)
        if self._open in ("", block):
            return self._show(block, at)
        return self._interrupt(at) if at >= self._open_at + _PATIENCE or each.size > _WAITING else ""

    def close(self, block: str, at: float) -> str:
        each = self._blocks.get(block)
        if each is None:
            return ""
        each.closed = True
        return self._let_through(at) if self._open in ("", block) else ""

    def add(
        self, kind: str, text: str, at: float, *, about: str = "", label: str = "", under: str = "", block: str = ""
    ) -> str:
        """A block that is complete."""
        self._added += 1
        block = block or f"+{self._added}"
        return self.grow(block, kind, text, at, about=about, label=label, under=under) + self.close(block, at)

    def tick(self, at: float) -> str:
        due = self.due_at
        return self._interrupt(at) if due is not None and at >= due else ""

    def flush(self, at: float) -> str:
        """All that waits, because nothing will come any more."""
        for each in self._blocks.values():
            each.closed = True
        return self._let_through(at)

    def _interrupt(self, at: float) -> str:
        """Put the open block behind all others."""
        end = "\n" if self._inline else ""
        self._inline = False
        each = self._blocks.pop(self._open)
        each.begun, each.interrupted = False, True
        self._blocks[self._open], self._open = each, ""
        return end + self._let_through(at)

    def _let_through(self, at: float) -> str:
        """Show what waits, up to the first that is not closed: that is the open one then."""
        shown: list[str] = []
        if self._open:
            shown.append(self._show(self._open, at) if self._blocks[self._open].waiting else "")
            shown.append(self._end(self._open))
        for block, each in list(self._blocks.items()):
            if each.waiting:
                shown.append(self._show(block, at))
            elif not each.closed:
                continue  # it was interrupted, and nothing more of it has come
            if not each.closed:
                break
            shown.append(self._end(block))
        return "".join(shown)

    def _show(self, block: str, at: float) -> str:
        each = self._blocks[block]
        text = each.take()
        begin = "" if each.begun else self._begin(each, single=not text)
        each.begun = True
        self._open, self._open_at, self._last = block, at, block
        self._inline = (bool(text) and not text.endswith("\n")) or (self._inline and not text)
        self._single = self._single and not text
        return begin + text

    def _begin(self, each: _Block, *, single: bool) -> str:
        under = bool(each.under) and self._last == each.under
        before = "" if not self._last or under or (self._single and single) else "\n"
        self._single = True
        return before + each.heading(under=under)

    def _end(self, block: str) -> str:
        del self._blocks[block]
        self._open = ""
        end = "\n" if self._inline else ""
        self._inline = False
        return end
