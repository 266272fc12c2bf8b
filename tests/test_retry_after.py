"""When a server that refuses may be asked again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.retry_after import read_retry_after

AT = 1_000_000_000.0  # Sun, 09 Sep 2001 01:46:40 GMT


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("120", AT + 120),
        (" 0.5 ", AT + 0.5),
        ("Sun, 09 Sep 2001 01:47:40 GMT", AT + 60),
        ("Sun, 09 Sep 2001 00:00:00 GMT", AT),
        ("999999999999", AT + 30 * 24 * 3600),
        ("", None),
        ("-5", None),
        ("soon", None),
    ],
)
def test_it_is_seconds_or_a_date(text: str, until: float | None) -> None:
    assert read_retry_after(text, AT) == until


@given(st.text())
def test_no_text_breaks_it_and_no_pause_is_longer_than_a_month(text: str) -> None:
    until = read_retry_after(text, AT)

    assert until is None or AT <= until <= AT + 30 * 24 * 3600
