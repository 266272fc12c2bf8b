"""Which part of so many bytes a ``Range`` header wants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.byte_range import ByteRange, UnsatisfiableError, parse_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-4", ByteRange(2, 5)),
        ("bytes=7-", ByteRange(7, 10)),
        ("bytes=7-99", ByteRange(7, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-99", ByteRange(0, 10)),
        ("BYTES= 2-4 ", ByteRange(2, 5)),
        (f"bytes={'0' * 5000}2-{'9' * 5000}", ByteRange(2, 10)),
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=٣-٤", None),
        ("bytes", None),
        ("", None),
    ],
)
def test_a_range_is_read_as_the_standard_says(header: str, wanted: ByteRange | None) -> None:
    assert parse_range(header, 10) == wanted


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", f"bytes={'9' * 9000}-"])
def test_a_range_of_which_nothing_is_there_is_refused(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        parse_range(header, 10)


def test_the_end_of_nothing_is_nothing() -> None:
    assert parse_range("bytes=-5", 0) is None


@given(st.one_of(st.text(), st.from_regex(r"bytes=[0-9]*-[0-9]*", fullmatch=True)), st.integers(0, 2**40))
def test_whatever_is_wanted_lies_within_what_is_there(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except UnsatisfiableError:
        return

    assert found is None or 0 <= found.start < found.stop <= size
