"""A terminal in memory: what programs do to a screen, and that no bytes break it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wcwidth import wcswidth

from actors.emulator import Emulator

PIECES = st.sampled_from(
    [
        *(b"\x1b[%d%c" % (number, final) for number in (0, 1, 3, 9999) for final in b"ABCDEFGHJKLMPSTXZ@`abdefgr"),
        *(
            b"\x1b[2;5r",
            b"\x1b[5;2r",
            b"\x1b[3;99r",
            b"\x1b[?1049h",
            b"\x1b[?1049l",
            b"\x1b[?7l",
            b"\x1b[?7h",
            b"\x1b[4h",
        ),
        *(b"\x1b[?3h", b"\x1b[?3l", b"\x1b[?6h", b"\x1b7", b"\x1b8", b"\x1bM", b"\x1bD", b"\x1bE", b"\x1bH", b"\x1bc"),
        *(b"a", b"word ", b"x" * 50, b"\r\n", b"\n", b"\r", b"\t", b"\x08", b"\x1b#8", b"\x1b[1;2;3;4A"),
        *(
            "你好".encode(),
            "e\u0301".encode(),
            b"\xcc\x81" * 30,
            "👩‍💻".encode(),
            "│─⠋".encode(),
            b"\xff",
            "\u200b".encode(),
        ),
    ]
)
STREAMS = st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=60).map(b"".join))


def rows(data: bytes, columns: int = 10, lines: int = 4) -> list[str]:
    emulator = Emulator(columns, lines)
    emulator.feed(data)
    return emulator.shown().text.split("\n")[:-1]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", []),
        (b"one\r\ntwo", ["one", "two"]),
        (b"1\r\n2\r\n3\r\n4\r\n5", ["2", "3", "4", "5"]),
        (b"0123456789abc", ["0123456789", "abc"]),
        (b"0123456789\r\nabc", ["0123456789", "abc"]),
        (b"\x1b[?7l0123456789abc", ["012345678c"]),
        (b"half\rHA", ["HAlf"]),
        (b"\x1b[2;3Hx\x1b[1;1Hy", ["y", "  x"]),
        (b"abc\x1b[2Dx\x1b[K", ["ax"]),
        (b"abc\x1b[H\x1b[J", []),
        (b"a\tb", ["a       b"]),
        (b"a\r\nb\x1b[1;1H\x1b[L", ["", "a", "b"]),
        (b"a\r\nb\r\nc\x1b[1S", ["b", "c"]),
        (b"a\r\nb\x1b[1T", ["", "a", "b"]),
        (b"abc\x1b[1;1H\x1b[4hX\x1b[4l", ["Xabc"]),
        (b"x\x1b[4b", ["xxxxx"]),
        (b"ab\x1b[sXY\x1b[uz", ["abzY"]),
        ("你好".encode(), ["你好"]),
        ("\x1b[1;10H你".encode(), [""]),
        ("你\x1b[1;10H好".encode(), ["你"]),
        ("你\x1b[1;1Hx".encode(), ["x"]),
        ("你好\x1b[1;2Hx".encode(), [" x好"]),
        ("e\u0301x\u200by".encode(), ["éxy"]),
        (b"shell\r\n\x1b[?1049h\x1b[Hmenu\x1b[?1049l$ ", ["shell", "$"]),
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07text", ["red text"]),
    ],
)
def test_the_screen_shows_what_a_terminal_would_show(data: bytes, shown: list[str]) -> None:
    assert [row.strip() if row == " " else row for row in rows(data)] == [row for row in shown if row or len(shown) > 1]


def test_the_cursor_and_what_stands_before_it_are_told() -> None:
    emulator = Emulator(20, 3)

    emulator.feed(b"one\r\nName? \x1b[7mBob\x1b[0m\x1b[3D")

    assert emulator.shown().cursor == (6, 1)
    assert emulator.shown().before == "Name?"


@given(STREAMS, st.integers(1, 30), st.integers(1, 8))
@settings(max_examples=300)
def test_any_bytes_leave_a_screen_that_is_never_wider_or_taller(data: bytes, columns: int, lines: int) -> None:
    emulator = Emulator(columns, lines)

    emulator.feed(data)
    shown = emulator.shown()

    assert len(shown.rows) == lines
    assert all(wcswidth(row) <= columns for row in shown.rows)
    assert 0 <= shown.cursor[0] < columns and 0 <= shown.cursor[1] < lines
    assert all(len(row) <= 8 * columns for row in shown.rows)


@given(STREAMS, st.integers(1, 7))
def test_how_the_bytes_are_cut_makes_no_difference(data: bytes, size: int) -> None:
    whole, cut = Emulator(12, 5), Emulator(12, 5)

    whole.feed(data)
    for at in range(0, len(data), size):
        cut.feed(data[at : at + size])

    assert cut.shown() == whole.shown()
