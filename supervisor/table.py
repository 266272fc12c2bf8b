"""Tables for a terminal: columns aligned, widths bounded, control characters shown and never obeyed."""

from collections.abc import Collection, Sequence

from rich.cells import cell_len, set_cell_size

from protocols.wording import printable

__all__ = ["one_line", "render_table"]

_GAP = "  "
_NARROWEST = 8


def render_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = (), width: int | None = None
) -> str:
    """Lines without an end, the titles first. ``right``: titles of columns of figures.

    Where ``width`` is too small, the widest columns are cut, down to a few characters each.
    """
    cells = [list(titles), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        _shrink(widths, width - len(_GAP) * (len(widths) - 1))
    return "\n".join(_GAP.join(_line(titles, row, widths, right)).rstrip() for row in cells)


def one_line(text: str) -> str:
    """What a terminal shows without doing anything else: single spaces, control characters escaped."""
    return printable(" ".join(text.split()))


def _line(titles: Sequence[str], row: Sequence[str], widths: Sequence[int], right: Collection[str]) -> list[str]:
    return [_fit(cell, size, title in right) for title, cell, size in zip(titles, row, widths, strict=True)]


def _fit(text: str, size: int, right: bool) -> str:
    length = cell_len(text)
    if length > size:
        return set_cell_size(text, size - 1) + "…"
    return " " * (size - length) + text if right else text + " " * (size - length)


def _shrink(widths: list[int], room: int) -> None:
    """Take from the widest until they fit."""
    while sum(widths) > room:
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
