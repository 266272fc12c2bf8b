"""Text as a terminal shows it: measured, padded and cut in cells, and rows of styled spans."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from rich.cells import cell_len, split_graphemes

__all__ = ["Row", "Span", "cut_row", "fit", "width"]

Style: TypeAlias = Literal[
    "",
    "bold",
    "dim",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "bold red",
    "bold green",
    "bold yellow",
    "bold cyan",
]
_REMEMBERED = 4096


class Size(NamedTuple):
    """Of a screen, in cells."""

    columns: int
    rows: int


class Span(NamedTuple):
    """A piece of a row."""

    text: str
    style: Style = ""


Row: TypeAlias = tuple[Span, ...]


def width(text: str) -> int:
    """How many cells the text takes; where terminals do not agree, the most of which we know."""
    return len(text) if text.isascii() else _width(text)


def fit(text: str, size: int, *, right: bool = False, mark: str = "…") -> str:
    """The text in exactly ``size`` cells: padded (on the left where ``right``), or cut, with the one cell of ``mark``
    in place of the rest."""
    room = size - width(text)
    if room >= 0:
        return " " * room + text if right else text + " " * room
    if size <= 0:
        return ""
    kept = _cut(text, size - 1)
    return kept + mark + " " * (size - 1 - width(kept))


def row_width(row: Iterable[Span]) -> int:
    """How many cells the row takes."""
    return sum(width(span.text) for span in row)


def cut_row(row: Row, size: int, *, mark: str = "…") -> Row:
    """The row in at most ``size`` cells: what is too much is replaced by ``mark``."""
    room = size
    for index, (text, _) in enumerate(row):
        taken = width(text)
        if taken > room:
            # Where a span ends at the edge, and more follows, the mark takes its last cell.
            kept = row[: index + 1] if room > 0 else row[:index]
            return (*kept[:-1], _marked(kept[-1], room or width(kept[-1].text), mark)) if kept else ()
        room -= taken
    return row


def _marked(span: Span, size: int, mark: str) -> Span:
    return Span(fit(span.text + mark, size, mark=mark) if size else "", span.style)


@lru_cache(_REMEMBERED)
def _width(text: str) -> int:
    # Vowel signs and the like (Mc): most terminals move on by a cell, rich and some others do not.
    return cell_len(text) + sum(unicodedata.category(char) == "Mc" for char in text)


def _cut(text: str, size: int) -> str:
    if text.isascii():
        return text[:size]
    room = size
    for start, end, _ in split_graphemes(text)[0]:
        room -= width(text[start:end])
        if room < 0:
            return text[:start]
    return text
