"""The chunked coding of HTTP, however its bytes were cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.chunked import ChunkedBody, head_of
from protocols.errors import ServerError

__all__: list[str] = []


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=12), st.sampled_from([b"", b";name=x", b" "]), st.data())
def test_how_the_bytes_are_cut_makes_no_difference(bodies: list[bytes], extra: bytes, data: st.DataObject) -> None:
    stream = b"".join(b"%X%s\r\n%s\r\n" % (len(body), extra, body) for body in bodies) + b"0\r\n\r\n"
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    chunked = ChunkedBody()

    found = [chunked.feed(stream[start:end]) for start, end in pairwise([0, *cuts, len(stream)])]

    assert b"".join(found) == b"".join(bodies)
    assert chunked.ended


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1), st.integers(0, 99))
def test_a_stream_that_is_cut_off_has_not_ended(bodies: list[bytes], keep: int) -> None:
    stream = b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)
    chunked = ChunkedBody()

    found = chunked.feed(stream[:keep])

    assert b"".join(bodies).startswith(found)
    assert not chunked.ended


@pytest.mark.parametrize("data", [b"\r\n", b"xyz\r\n", b"-5\r\n", b"0x5\r\n", b"1_0\r\n", b"1" * 2000])
def test_what_is_no_chunk_is_an_error(data: bytes) -> None:
    with pytest.raises(ServerError, match="no length of a chunk"):
        ChunkedBody().feed(data)


def test_a_head_is_there_when_all_of_it_is() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX:\r\n\r\n"

    assert all(head_of(head[:end]) is None for end in range(len(head)))
    assert head_of(head + b"body") == (200, {"content-type": "text/event-stream", "x": ""}, b"body")


@pytest.mark.parametrize("data", [b"SSH-2.0\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 70_000])
def test_what_is_no_head_is_an_error(data: bytes) -> None:
    with pytest.raises(ServerError):
        head_of(data)
