"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.durations import format_duration, format_elapsed, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("1h1m1s1ms", 3661.001),
        ("1.5h", 5400),
        ("0s", 0),
        ("007s", 7),
        ("8784h", 31_622_400),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_several_in_order(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "-5s", "+5s", "5 s", "5S", "5x", "1s1m", "1m1m", "1e3s", ".5s", "5.s", "٣s", "90s\n", "inf", "nan"],
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match='not a duration; write it like "90s", "10m", "1h30m" or "500ms"'):
        parse_duration(text)


def test_a_number_without_a_unit_is_refused_with_the_likely_one() -> None:
    with pytest.raises(ValueError, match='needs a unit; write "90s"'):
        parse_duration("90")


@pytest.mark.parametrize("text", ["8785h", "9" * 4000 + "s"], ids=["a little", "far"])
def test_more_than_a_year_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than a year"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0004, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (90, "1m30s"), (5400, "1h30m"), (3600.001, "1h0.001s")],
)
def test_a_duration_is_shown_in_the_same_form(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 366 * 24 * 3_600_000))
def test_what_is_shown_is_read_as_the_same_to_the_millisecond(milliseconds: int) -> None:
    assert round(parse_duration(format_duration(milliseconds / 1000)) * 1000) == milliseconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "<1ms"),
        (-3.0, "<1ms"),
        (0.0004, "<1ms"),
        (0.0123, "12ms"),
        (0.9999, "1s"),
        (9.87, "9.9s"),
        (59.96, "1m"),
        (61.7, "1m2s"),
        (3723.0, "1h2m3s"),
    ],
)
def test_a_measured_time_has_the_digits_that_matter(seconds: float, text: str) -> None:
    assert format_elapsed(seconds) == text
