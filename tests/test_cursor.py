"""Where somebody is in the records of a fleet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.cursor import Cursor, parse_cursor
from protocols.ids import RunId


@given(st.from_regex(r"[a-z2-7]{8}", fullmatch=True), st.integers(0, 10**18 - 1))
def test_a_cursor_is_read_as_it_was_written(run: str, seq: int) -> None:
    cursor = Cursor(RunId(run), seq)

    assert parse_cursor(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", "17", "abcdefgh", "abcdefgh:", "abcdefgh:-1", "abcdefgh:٣", "ABCDEFGH:1", "a:1\n"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="RUN:SEQ"):
        parse_cursor(text)
