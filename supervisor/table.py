"""Tables for a terminal: columns aligned, widths bounded, control characters shown and never obeyed."""

import shutil
import sys
from collections.abc import Collection, Iterable, Sequence

from actors import cells
from protocols.wording import escaped

__all__ = ["one_line", "render_table", "terminal_width"]

_GAP = "  "
_NARROWEST = 8


def render_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    spare: Sequence[str] = (),
    width: int | None = None,
) -> str:
    """Lines without an end, the titles first; no two titles are the same. ``right``: those of columns of figures.

    Where ``width`` is too small, the columns ``spare`` are left out, one after the other, until the others have room
    for a few characters each. Then the widest are cut, down to these, but no figures.
    """
    texts = [list(titles), *([one_line(cell) for cell in row] for row in rows)]
    columns = dict(zip(titles, zip(*texts, strict=True), strict=True))
    widths = {title: max(map(cells.width, column)) for title, column in columns.items()}
    if width is not None:
        _leave_out(widths, right, spare, width)
        _shrink(widths, right, width)
    lines = zip(*(_column(columns[title], size, title in right) for title, size in widths.items()), strict=True)
    return "\n".join(_GAP.join(line).rstrip() for line in lines)


def terminal_width() -> int | None:
    """The columns of the terminal; None where standard output is none, and nothing need be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def one_line(text: str) -> str:
    """What a terminal shows without doing anything else: single spaces, control characters escaped."""
    return escaped(" ".join(text.split()))


def _column(texts: Iterable[str], size: int, right: bool) -> list[str]:
    return [cells.fit(text, size, right=right) for text in texts]


def _leave_out(widths: dict[str, int], right: Collection[str], spare: Iterable[str], width: int) -> None:
    for title in spare:
        least = [size if title in right else min(size, _NARROWEST) for title, size in widths.items()]
        if sum(least) <= _room(widths, width):
            return
        del widths[title]


def _shrink(widths: dict[str, int], right: Collection[str], width: int) -> None:
    """Take from the widest until they fit."""
    texts = [title for title in widths if title not in right]
    while texts and sum(widths.values()) > _room(widths, width):
        widest = max(texts, key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1


def _room(widths: Collection[str], width: int) -> int:
    return width - len(_GAP) * (len(widths) - 1)
