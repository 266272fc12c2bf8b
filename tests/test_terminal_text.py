"""What is left of a terminal's stream: text, and the sequences that place it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.terminal_text import TextStream, find_fresh_start

PIECES = st.sampled_from(
    [
        *(b"\x1b", b"[", b"]", b"P", b"?", b";", b":", b"1", b"1049", b"h", b"H", b"m", b"\x07", b"\\", b"\x18", b" "),
        *(b"a", b"\r\n", b"\t", b"\x08", b"\xe4\xbd\xa0", b"\xe4", b"\xff", b"\x9b", b"$", b"7", b"2J", b"9" * 70),
    ]
)
STREAMS = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain \xe2\x94\x82 text\r\n\t\x08", "plain │ text\r\n\t\x08"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b[38:2::1:2:3mred", "red"),
        (b"\x1b]0;a title\x07b\x1b]8;;http://x\x1b\\c", "bc"),
        (b"\x1bPq an image \x1b\\d\x1b_apc\x1b\\e", "de"),
        (b"\x1b]no end\x1b[Hf", "\x1b[Hf"),
        (b"\x1b]no end\x18g", "g"),
        (b"\x1b[5;3H\x1b[2J\x1b[K\x1b[10A", "\x1b[5;3H\x1b[2J\x1b[K\x1b[10A"),
        (b"\x1b[3J\x1b[9K\x1b[>1u\x1b[<u\x1b[?6h\x1b[?2026h\x1b[c\x1b[6n", ""),
        (b"\x1b[?25;1049;2004h\x1b[4h\x1b[3h", "\x1b[?25;1049h\x1b[4h"),
        (b"\x1b[s\x1b[u\x1b7\x1b8", "\x1b7\x1b8\x1b7\x1b8"),
        (b"\x1b(0\x1b)B\x1b=\x1b>\x1bM\x1bD", "\x1bM\x1bD"),
        (b"\x1b[99999999A\x1b[1;2;3;4H", "\x1b[9999A\x1b[1;2H"),
        (b"\x00\x07\x0e\x7f\xc2\x9bx", "x"),
        (b"\xff\xe4a", "\ufffd\ufffda"),
    ],
)
def test_only_what_places_text_is_left(data: bytes, text: str) -> None:
    assert TextStream().feed(data) == text


@given(st.lists(STREAMS, max_size=5), st.integers(1, 7))
def test_how_the_bytes_are_cut_makes_no_difference(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    whole, cut = TextStream(), TextStream()

    assert "".join(cut.feed(data[at : at + size]) for at in range(0, len(data), size)) == whole.feed(data)


@given(STREAMS)
def test_of_any_bytes_only_known_sequences_are_left(data: bytes) -> None:
    text = TextStream().feed(data)

    assert re.fullmatch(r"(?:\x1b\[[?]?[0-9;]*[@-~]|\x1b[78cDEHM]|[^\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f])*", text)


def test_a_control_string_without_end_is_not_kept_in_memory() -> None:
    stream = TextStream()

    for _ in range(100):
        assert stream.feed(b"\x1bP" + b"q" * 10_000) == ""

    assert stream.feed(b"\x1b\\a") == "a"
    assert len(stream._rest) < 100


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (b"", 0),
        (b"no line end", 0),
        (b"half a line\nrest\n", 12),
        (b"x\n\x1b[2Jold\x1b[H\x1b[Jnew\ny", 9),
        (b"x\n\x1b[?1049hy\n", 2),
    ],
)
def test_a_fresh_start_is_where_all_was_cleared_or_a_line_begins(data: bytes, start: int) -> None:
    assert find_fresh_start(data) == start
