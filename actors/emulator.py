"""A terminal in memory that knows text alone: pyte, made safe for whatever a worker prints."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import pyte
from pyte import modes
from pyte.screens import Char
from wcwidth import wcwidth

from protocols.prompts import Shown
from protocols.terminal_text import TextStream

__all__ = ["Emulator"]

_NARROW = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff\u2500-\u259f\u2800-\u28ff]+")
"""What surely takes one cell each: ASCII, Latin, lines, blocks and the dots of which spinners are made."""
_COMBINED = 8  # characters in one cell; more are not kept
_ALTERNATE = {"47", "1047", "1049"}


class _Saved(NamedTuple):
    """The screen behind the alternate one."""

    rows: dict[int, Any]
    cursor: tuple[int, int]


class Emulator:
    """A screen of a fixed size. Feed bytes as they come; any bytes will do."""

    def __init__(self, columns: int, rows: int) -> None:
        self._text = TextStream()
        self._screen = _Screen(columns, rows)
        self._stream = _Stream(self._screen)

    def feed(self, data: bytes) -> None:
        """Takes about a second for each few megabytes."""
        self._stream.feed(self._text.feed(data))

    def shown(self) -> Shown:
        """What a person would see now."""
        screen = self._screen
        x, y = screen.cursor.x, screen.cursor.y
        rows = tuple(screen.row(number) for number in range(screen.lines))
        return Shown(rows, (min(x, screen.columns - 1), y), screen.row(y, x))


class _Stream(pyte.Stream):
    csi = pyte.Stream.csi | {"S": "scroll_up", "T": "scroll_down", "b": "repeat", "Z": "back_tab"}
    events = pyte.Stream.events | {"scroll_up", "scroll_down", "repeat", "back_tab"}


class _Screen(pyte.Screen):
    """Without colours, and no larger than it was made."""

    def __init__(self, columns: int, rows: int) -> None:
        self._saved: _Saved | None = None
        self._last = ""
        """The last character that was drawn."""
        self._combined = 0
        super().__init__(columns, rows)

    def row(self, number: int, end: int | None = None) -> str:
        """The text of a row, up to the column ``end``, without the blanks behind it."""
        line = self.buffer.get(number)
        if not line:
            return ""
        end = self.columns if end is None else end
        cells = [line[column].data if column in line else " " for column in range(self.columns)]
        text = "".join(cells[:end])
        if not text.isascii() or "" in cells:
            text = "".join(_whole(cells, end))
        return text.rstrip()

    def draw(self, data: str) -> None:
        start = 0
        for found in _NARROW.finditer(data):
            if found.start() > start:
                self._draw_others(data[start : found.start()])
            self._draw_narrow(found[0])
            start = found.end()
        if start < len(data):
            self._draw_others(data[start:])

    def _draw_narrow(self, data: str) -> None:
        """Many at a time, with one object for each character that there is."""
        self._last, self._combined = data[-1], 0
        if modes.IRM in self.mode or modes.DECAWM not in self.mode:
            super().draw(data)
            return
        start = 0
        while start < len(data):
            if self.cursor.x >= self.columns:
                self.carriage_return()
                self.linefeed()
            x = self.cursor.x
            part = data[start : start + self.columns - x]
            self.buffer[self.cursor.y].update(zip(range(x, x + len(part)), map(_cell, part), strict=True))
            self.cursor.x = x + len(part)
            start += len(part)

    def _draw_others(self, data: str) -> None:
        """pyte stops at what takes no cell, unless it is a mark on the character before."""
        kept = []
        for character in data:
            width = _width(character)
            self._combined = self._combined + 1 if width == 0 else 0
            if width > 0 or (width == 0 and unicodedata.combining(character) and self._combined < _COMBINED):
                kept.append(character)
            if width > 0:
                self._last = character
        if self.columns > 1:
            super().draw("".join(kept))

    def repeat(self, count: int | None = None) -> None:
        self.draw(self._last * min(count or 1, self.columns))

    def scroll_up(self, count: int | None = None) -> None:
        self._scroll(count, self.delete_lines)

    def scroll_down(self, count: int | None = None) -> None:
        self._scroll(count, self.insert_lines)

    def _scroll(self, count: int | None, change: Any) -> None:
        x, y = self.cursor.x, self.cursor.y
        self.cursor.y = self.margins.top if self.margins else 0
        change(count)
        self.cursor.x, self.cursor.y = x, y

    def back_tab(self, count: int | None = None) -> None:
        for _ in range(min(count or 1, self.columns)):
            self.cursor.x = max((stop for stop in self.tabstops if stop < self.cursor.x), default=0)

    def save_cursor(self) -> None:
        self.savepoints.clear()  # one is what a terminal keeps
        super().save_cursor()

    def reset(self) -> None:
        self._saved = None
        self.savepoints.clear()
        super().reset()

    def set_mode(self, *numbers: int, **kwargs: Any) -> None:
        if kwargs.get("private") and _ALTERNATE & set(map(str, numbers)) and self._saved is None:
            self._saved = _Saved(dict(self.buffer), (self.cursor.x, self.cursor.y))
            self.buffer.clear()
        super().set_mode(*numbers, **kwargs)

    def reset_mode(self, *numbers: int, **kwargs: Any) -> None:
        if kwargs.get("private") and _ALTERNATE & set(map(str, numbers)) and self._saved is not None:
            self.buffer.clear()
            self.buffer.update(self._saved.rows)
            self.cursor.x, self.cursor.y = self._saved.cursor
            self._saved = None
        super().reset_mode(*numbers, **kwargs)


def _whole(cells: list[str], end: int) -> Iterator[str]:
    """The text of cells, a blank for each wide character of which only one half is there."""
    for column in range(end):
        data, before = cells[column], cells[column - 1] if column else ""
        after = cells[column + 1] if column + 1 < len(cells) else " "
        if _width(data[:1]) == 2 and after:
            yield " "
        elif data or _width(before[:1]) != 2:
            yield data or " "


@lru_cache(maxsize=4096)
def _cell(character: str) -> Char:
    return Char(character)


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    return wcwidth(character)
