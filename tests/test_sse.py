"""Server-sent events, however their bytes were cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sse import SseEvent, SseParser, TooLong, write_sse

__all__: list[str] = []

ENDS = [b"\n", b"\r", b"\r\n"]
PIECES = [
    *(b"data: a", b"data:b", b"data:", b"data", b"data:  two blanks", b": comment", b"id: 7", b"id:", b"id: \0"),
    *(b"event: ping", b"retry: 250", b"retry: +5", b"nonsense: x", b"", b"\xef\xbb\xbf", "data: \u2028 ö".encode()),
    *(b"data: " + b"x" * 40, b"data: \xff"),
]


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(ENDS)), max_size=30), st.data())
def test_how_the_bytes_are_cut_makes_no_difference(lines: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    stream = b"".join(line + end for line, end in lines)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    whole, cut = SseParser(most=50), SseParser(most=50)

    expected = whole.feed(stream)
    found = [each for start, end in pairwise([0, *cuts, len(stream)]) for each in cut.feed(stream[start:end])]

    assert found == expected
    assert (cut.last_id, cut.retry) == (whole.last_id, whole.retry)


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(ENDS)), max_size=30))
def test_byte_for_byte_gives_the_same_as_at_once(lines: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(line + end for line, end in lines)
    one_by_one = SseParser(most=50)

    found = [each for byte in stream for each in one_by_one.feed(bytes([byte]))]

    assert found == SseParser(most=50).feed(stream)


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(ENDS)), max_size=30))
def test_it_is_what_a_parser_by_the_letter_of_the_standard_finds(lines: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(line + end for line, end in lines)

    assert SseParser().feed(stream) == _by_the_letter(stream)


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [b"a", b"b", b"c"]),
        ("data: {\"a\": \"\u2028\u2029\u0085\v\f\"}\n\n".encode(), ["{\"a\": \"\u2028\u2029\u0085\v\f\"}".encode()]),
        (b"data: 1\ndata: 2\n\n", [b"1\n2"]),
        (b"data\n\ndata:\n\n", [b"", b""]),
        (b": only a comment\n\nevent: without data\n\n", []),
        (b"data: never ended\n", []),
        (b"\n\n\n\ndata: after blank lines\n\n", [b"after blank lines"]),
    ],
)  # fmt: skip
def test_an_event_is_what_stands_between_blank_lines(stream: bytes, data: list[bytes]) -> None:
    assert [each.data for each in SseParser().feed(stream) if isinstance(each, SseEvent)] == data


def test_an_id_holds_until_another_comes_and_a_pause_is_remembered() -> None:
    parser = SseParser()

    found = parser.feed(b"id: 1\ndata: a\n\n: beat\n\ndata: b\n\nid\nretry: 99\ndata: c\n\nretry: x\n\n")

    assert found == [SseEvent(b"a", id="1"), SseEvent(b"b", id="1"), SseEvent(b"c")]
    assert parser.retry == 99


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_an_event_beyond_the_bound_is_told_and_what_follows_it_still_comes(size: int) -> None:
    parser = SseParser(most=100)
    stream = b"data: a\n\ndata: " + b"x" * 300 + b"\ndata: y\n\ndata: b\n\n"

    found = [each for start in range(0, len(stream), size) for each in parser.feed(stream[start : start + size])]

    assert found == [SseEvent(b"a"), TooLong(100), SseEvent(b"b")]
    assert str(found[1]) == "an event of more than 100 bytes was left out"


def test_an_event_of_sixteen_mebibytes_comes_in_pieces() -> None:
    parser = SseParser()
    body = b"x" * (16 * 1024 * 1024 - len(b"data: "))
    stream = b"data: " + body + b"\n\n"

    found = [each for start in range(0, len(stream), 4096) for each in parser.feed(stream[start : start + 4096])]

    assert found == [SseEvent(body)]


def _by_the_letter(stream: bytes) -> list[SseEvent]:
    """Line by line, as the standard says it."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    found: list[SseEvent] = []
    data, name, last = b"", "", ""
    for line in text.split(b"\n")[:-1]:
        field, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                found.append(SseEvent(data.removesuffix(b"\n"), name or "message", last))
            data, name = b"", ""
        elif field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value.decode(errors="replace")
        elif field == b"id" and b"\0" not in value:
            last = value.decode(errors="replace")
        elif not colon or not field:
            continue
    return found


_WORD = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=9)


@given(st.lists(st.tuples(st.binary(), _WORD, _WORD), min_size=1))
def test_what_is_written_is_read_back(events: list[tuple[bytes, str, str]]) -> None:
    told = [SseEvent(data, name or "message", id_) for data, name, id_ in events if id_]

    found = SseParser().feed(b"".join(write_sse(data, name, id_) for data, name, id_ in events if id_))

    assert found == [each._replace(data=_lf(each.data)) for each in told]


def _lf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
