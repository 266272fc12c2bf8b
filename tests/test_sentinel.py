"""The line that ends a task is found however its bytes are cut, and only as a whole line."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.sentinel import Sentinel

_TEXTS = st.lists(st.sampled_from([b"DONE", b"\n", b"\r", b"x", b"\xc3", b"DO", b"NE"]), max_size=12).map(b"".join)


def _lines(text: bytes) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in text.split(b"\n")]


@given(_TEXTS, st.lists(st.integers(0, 40), max_size=5))
def test_a_whole_line_is_found_however_the_text_is_cut(text: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    sentinel = Sentinel("DONE")

    found = [sentinel.feed(text[start:end]) for start, end in pairwise(places)]

    *lines, last = _lines(text)
    assert any(found) == (b"DONE" in lines)
    assert sentinel.finish() == (last == b"DONE")


@pytest.mark.parametrize("text", ["DONE later\n", "not DONE\n", "done\n", "DONE"])
def test_a_part_of_a_line_does_not_count(text: str) -> None:
    assert not Sentinel("DONE").feed(text.encode())


def test_after_the_end_of_a_file_another_line_begins() -> None:
    sentinel = Sentinel("DONE")

    assert not sentinel.feed(b"DO")
    assert not sentinel.finish()
    assert not sentinel.feed(b"NE\n")
    assert sentinel.feed(b"DONE\n")


def test_no_line_is_never_found() -> None:
    sentinel = Sentinel("")

    assert not sentinel.feed(b"\n\n\n")
    assert not sentinel.finish()
