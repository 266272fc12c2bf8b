"""What a terminal shows after the painter's bytes: a small model of one obeys them."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cells import Row, Size, Span, Style, cut_row, width
from actors.live.painter import Painter

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([^\x1b])")
_CODES: dict[str, Style] = {"": "", "1": "bold", "2": "dim", "31": "red", "1;36": "bold cyan"}
_WORDS = ("a", "bc", " ", "done ", "日本", "e\u0301", "…", "é", "▶ x")

_Cell: TypeAlias = tuple[str, Style]
_Measure: TypeAlias = Callable[[str], int]


def _wider(char: str) -> int:
    return 1 if char.isascii() else 2


def _narrower(_: str) -> int:
    return 1


class _Screen:
    """A terminal that does not wrap. Before the first picture, and at each new size, anything may be on it."""

    def __init__(self, size: Size, measure: _Measure) -> None:
        self.measure = measure
        self.resize(size)

    def resize(self, size: Size) -> None:
        self.size = size
        self.rows: list[list[_Cell]] = [[("#", "red")] * size.columns for _ in range(size.rows)]
        self.row = self.column = 0
        self.style: Style = "dim"
        self.held = False

    def feed(self, data: bytes) -> None:
        text = data.decode()
        matches = list(_SEQUENCE.finditer(text))
        assert "".join(match[0] for match in matches) == text
        for match in matches:
            if match[3]:
                self._put(match[3])
            else:
                self._obey(match[1], match[2])
        assert (self.style, self.held) == ("", False)

    def _obey(self, arguments: str, command: str) -> None:
        match command, arguments:
            case "H", row:
                self.row, self.column = min(int(row), self.size.rows) - 1, 0
            case "J", "2":
                self.rows = [self._blank() for _ in self.rows]
            case "K", "2":
                self.rows[self.row] = self._blank()
            case "K", "":
                self.rows[self.row][self.column :] = self._blank()[self.column :]
            case "m", codes:
                self.style = _CODES[codes]
            case (("h" | "l"), "?2026"):
                self.held = command == "h"
            case _:
                pytest.fail(f"no terminal has to know CSI {arguments}{command}")

    def _put(self, char: str) -> None:
        cells, row = self.measure(char), self.rows[self.row]
        if cells == 0:
            assert self.column, "it has nothing to stand on"
            row[self.column - 1] = (row[self.column - 1][0] + char, self.style)
        elif self.column + cells <= self.size.columns:
            row[self.column : self.column + cells] = [(char, self.style)] + [("", self.style)] * (cells - 1)
            self.column = min(self.column + cells, self.size.columns - 1)
        elif cells == 1:
            row[-1] = (char, self.style)

    def _blank(self) -> list[_Cell]:
        return [(" ", "")] * self.size.columns


class _Picture(NamedTuple):
    rows: list[Row]
    size: Size
    spoiled: bool
    """Somebody else wrote on the terminal before."""


def _cells(row: Row, columns: int) -> list[_Cell]:
    cells: list[_Cell] = []
    for span in row:
        for char in span.text:
            if width(char):
                cells += [(char, span.style)] + [("", span.style)] * (width(char) - 1)
            else:
                cells[-1] = (cells[-1][0] + char, span.style)
    return cells + [(" ", "")] * (columns - len(cells))


_spans = st.builds(Span, st.sampled_from(_WORDS), st.sampled_from(sorted(_CODES.values())))
_rows = st.lists(_spans, max_size=6).map(tuple)
_sizes = st.sampled_from([Size(1, 1), Size(5, 2), Size(8, 4)])


@st.composite
def _pictures(draw: st.DrawFn) -> _Picture:
    size = draw(_sizes)
    rows = [_ending_before_the_edge(cut_row(row, size.columns), size) for row in draw(st.lists(_rows, max_size=4))]
    return _Picture(rows[: size.rows], size, draw(st.booleans()))


def _ending_before_the_edge(row: Row, size: Size) -> Row:
    """In the last column terminals disagree about marks: on which cell they are put."""
    text = "".join(span.text for span in row)
    return () if width(text) == size.columns and text.endswith("\u0301") else row


def _show(pictures: Sequence[_Picture], measure: _Measure) -> _Screen:
    screen, painter = _Screen(pictures[0].size, measure), Painter()
    for picture in pictures:
        if picture.size != screen.size or picture.spoiled:
            screen.resize(picture.size)
            painter.forget()
        screen.feed(painter.paint(picture.rows, picture.size))
        assert painter.paint(picture.rows, picture.size) == b""
    return screen


@given(st.lists(_pictures(), min_size=1, max_size=6))
def test_the_screen_shows_exactly_the_last_picture_and_a_repeated_one_costs_nothing(pictures: list[_Picture]) -> None:
    screen = _show(pictures, width)

    rows, size, _ = pictures[-1]
    shown = [_cells(row, size.columns) for row in rows]
    assert screen.rows == shown + [_cells((), size.columns)] * (size.rows - len(rows))


@pytest.mark.parametrize("measure", [_wider, _narrower])
@given(pictures=st.lists(_pictures(), min_size=1, max_size=6))
def test_nothing_of_an_earlier_picture_stays_whatever_a_terminal_thinks_of_widths(
    pictures: list[_Picture], measure: _Measure
) -> None:
    screen = _show(pictures, measure)

    assert screen.rows == _show(pictures[-1:], measure).rows


def test_only_changed_rows_are_sent_and_they_are_shown_at_once() -> None:
    painter, size = Painter(), Size(10, 3)
    painter.paint([(Span("one"),), (Span("two"),), (Span("three"),)], size)

    data = painter.paint([(Span("one"),), (Span("2", "red"), Span("!")), (Span("three"),)], size)

    assert data == b"\x1b[?2026h\x1b[2H\x1b[31m2\x1b[m!\x1b[K\x1b[?2026l"


def test_rows_that_are_no_more_are_erased() -> None:
    painter, size = Painter(), Size(10, 3)
    painter.paint([(Span("one"),), (Span("two"),)], size)

    data = painter.paint([(Span("one"),)], size)

    assert data == b"\x1b[?2026h\x1b[2H\x1b[K\x1b[?2026l"


def test_the_last_character_of_a_full_row_is_not_erased() -> None:
    data = Painter().paint([(Span("12345"),)], Size(5, 1))

    assert data == b"\x1b[?2026h\x1b[m\x1b[2J\x1b[1H12345\x1b[?2026l"


def test_another_size_is_painted_as_a_whole() -> None:
    painter, rows = Painter(), [(Span("one"),), (Span("two"),)]
    painter.paint(rows, Size(10, 3))

    data = painter.paint(rows, Size(10, 4))

    assert data == Painter().paint(rows, Size(10, 4)) != b""


def test_rows_without_room_are_left_out() -> None:
    data = Painter().paint([(Span("one"),), (Span("two"),)], Size(10, 1))

    assert b"one" in data and b"two" not in data


def test_without_colour_bold_and_dim_are_left() -> None:
    rows: list[Row] = [(Span("a", "bold red"), Span("b", "green"), Span("c", "dim"))]

    data = Painter(colour=False).paint(rows, Size(10, 1))

    assert b"\x1b[1H\x1b[1ma\x1b[mb\x1b[2mc\x1b[m\x1b[K" in data


def test_half_a_surrogate_pair_is_no_error() -> None:
    data = Painter().paint([(Span("a\ud800b"),)], Size(10, 1))

    assert b"a?b" in data
