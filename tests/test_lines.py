import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.lines import Line, LineSplitter, printable, strip_ansi

MAX_LINE = 5

# Short alphabets: line ends, halves of characters and lines of about MAX_LINE must be common.
outputs = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bcd", b"\x00", b"\x1b[1m", "é".encode(), "€".encode()])
    | st.sampled_from([b"\xf0\x9f\x98", b"\x80", b"\xff", "😀".encode(), "\u2028".encode()]),
    max_size=30,
).map(b"".join)

fragments = st.lists(
    st.sampled_from(["\x1b", "[", "]", "P", "\\", "\x9b", "\x9d", "\x9c", "\x07", "0;1", "m", " ", "é", "text", "\n"])
    | st.characters(),
    max_size=20,
).map("".join)


def split(*chunks: bytes, max_line: int = MAX_LINE) -> list[Line]:
    splitter = LineSplitter(max_line)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()


def join(lines: list[Line]) -> str:
    return "".join(line.text + ("" if line.partial else "\r" if line.overwritten else "\n") for line in lines)


@given(outputs, st.lists(st.integers(0, 100)))
def test_how_the_bytes_were_cut_makes_no_difference(output: bytes, cuts: list[int]) -> None:
    at = sorted({0, len(output), *(cut for cut in cuts if cut < len(output))})

    lines = split(*(output[start:end] for start, end in pairwise(at)))

    assert lines == split(output)


@given(outputs)
def test_every_byte_on_its_own_gives_the_same_lines(output: bytes) -> None:
    assert split(*(bytes([byte]) for byte in output)) == split(output)


@given(outputs)
def test_the_lines_joined_give_back_the_decoded_text(output: bytes) -> None:
    text = output.decode("utf-8", "replace").replace("\r\n", "\n")

    joined = join(split(output))

    assert joined == (text if not text or text.endswith(("\n", "\r")) else text + "\n")


@given(outputs)
def test_no_line_or_part_is_longer_than_allowed(output: bytes) -> None:
    lines = split(output)

    assert all(len(line.text) <= MAX_LINE for line in lines)
    assert all(len(line.text) == MAX_LINE for line in lines if line.partial)


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (b"", []),
        (b"one\ntwo\r\nthree", [Line("one"), Line("two"), Line("three")]),
        (b"\n\n", [Line(""), Line("")]),
        (b"10%\r20%\rok\n", [Line("10%", overwritten=True), Line("20%", overwritten=True), Line("ok")]),
        (b"10%\r", [Line("10%", overwritten=True)]),
        (b"\r10%\r20%", [Line("", overwritten=True), Line("10%", overwritten=True), Line("20%")]),
        (b"12345\n", [Line("12345")]),
        (b"12345\r\n", [Line("12345")]),
        (b"123456\r7", [Line("12345", partial=True), Line("6", overwritten=True), Line("7")]),
        (b"1234567890123", [Line("12345", partial=True), Line("67890", partial=True), Line("123")]),
        ("éé€€😀😀\n".encode(), [Line("éé€€😀", partial=True), Line("😀")]),
        (b"a\x00\x1b[m\n", [Line("a\x00\x1b[m")]),
        (b"a\x0b\x0c\x1cb\xe2\x80\xa8\n", [Line("a\x0b\x0c\x1cb", partial=True), Line("\u2028")]),
        (b"\xff\xc3\n", [Line("\ufffd\ufffd")]),
        (b"ab\xf0\x9f\x98", [Line("ab\ufffd")]),
    ],
)
def test_output_becomes_lines(output: bytes, lines: list[Line]) -> None:
    assert split(output) == lines


def test_half_a_character_waits_for_its_other_half() -> None:
    splitter = LineSplitter()

    assert splitter.feed(b"caf\xc3") == []
    assert splitter.feed(b"\xa9\n") == [Line("café")]


def test_a_carriage_return_waits_to_see_whether_a_newline_follows() -> None:
    splitter = LineSplitter()

    assert splitter.feed(b"one\r") == []
    assert splitter.feed(b"\ntwo\r") == [Line("one")]
    assert splitter.feed(b"three") == [Line("two", overwritten=True)]


def test_a_part_comes_as_soon_as_its_line_is_known_to_go_on() -> None:
    splitter = LineSplitter(MAX_LINE)

    assert splitter.feed(b"12345") == []
    assert splitter.feed(b"6") == [Line("12345", partial=True)]


def test_a_splitter_that_finished_begins_anew() -> None:
    splitter = LineSplitter()
    splitter.feed(b"old\xc3")

    assert splitter.finish() == [Line("old\ufffd")]
    assert splitter.finish() == []
    assert splitter.feed(b"\xa9new\n") == [Line("\ufffdnew")]


def test_a_line_without_end_is_not_kept() -> None:
    splitter = LineSplitter()
    chunk = b"x" * 65536

    parts = sum(len(splitter.feed(chunk)) for _ in range(160))

    assert parts == 160 * 32 - 1
    assert splitter.finish() == [Line("x" * 2048)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 😀", "plain é 😀"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[38:2::1:2:3mred\x1b[K", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP+q544e\x1b\\text", "text"),
        ("\x1b(Btext\x1b7\x1b=", "text"),
        ("\x9b31mred\x9d0;title\x9c", "red"),
        ("\x1b]52;c;cut off", "52;c;cut off"),
        ("\x1b]0;one\nreset\x07", "0;one reset"),
        ("a\x1b[3", "a"),
        ("a\x1b", "a"),
        ("\x1b\x1b[31m[2J", "[2J"),
        ("\x1b[\x1b[31m2J", "2J"),
        ("a\tb", "a       b"),
        ("a\x00\x07\x08b\x7f\x85c", "ab c"),
        ("one\r\ntwo\u2028three", "one  two three"),
        ("abc\u202edef\u2066ghi\u200f", "abcdefghi"),
        ("\ud83d", "\ufffd"),
        ("\x1b[\x9b\x1b]\x9d", ""),
    ],
)
def test_text_is_made_safe_for_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(fragments)
def test_nothing_that_is_shown_can_control_a_terminal(text: str) -> None:
    shown = printable(text)

    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    shown.encode()


@given(fragments)
def test_text_that_is_safe_stays_as_it_is(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@given(fragments)
def test_sequences_are_found_in_bytes_as_in_text(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()

    assert strip_ansi(text.encode()) == strip_ansi(text).encode()


@pytest.mark.parametrize("hostile", ["\x1b]", "\x9d", "\x1b[", "\x1b[1;", "\x1b ", "\x1b]a", "1;"])
def test_unfinished_sequences_are_removed_in_linear_time(hostile: str) -> None:
    text = "\x1b]\x1b[" + hostile * 50_000  # quadratic would be minutes

    assert "\x1b" not in strip_ansi(text)
    assert b"\x1b" not in strip_ansi(text.encode())
