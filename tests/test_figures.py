import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.live.figures import clock, count, percent, quiet, took, whole_seconds

DAYS = 24 * 3600


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0:00"),
        (7.9, "0:07"),
        (727, "12:07"),
        (3599.9, "59:59"),
        (3727, "1:02:07"),
        (12 * 3600 + 430, "12h 07m"),
        (4 * DAYS + 7 * 3600, "4d 07h"),
    ],
)
def test_a_clock_goes_in_whole_seconds_then_minutes_then_hours(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@given(st.floats(0, 99 * DAYS))
def test_a_clock_keeps_to_its_column(seconds: float) -> None:
    assert len(clock(seconds)) <= (5 if seconds < 3600 else 7)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "<1ms"), (0.25, "250ms"), (12.34, "12.3s"), (59.94, "59.9s"), (59.96, "0:59"), (65, "1:05")],
)
def test_a_time_that_is_over_is_told_more_exactly_below_a_minute(seconds: float, text: str) -> None:
    assert took(seconds) == text


@given(st.floats(0, 3599))
def test_a_time_that_is_over_keeps_to_the_column_of_the_clock(seconds: float) -> None:
    assert len(took(seconds)) <= 5


@pytest.mark.parametrize(
    ("number", "exact", "text"),
    [
        (0, True, "      0 lines"),
        (1, True, "      1 line "),
        (1420, False, " ~1,420 lines"),
        (99_999, False, "~99,999 lines"),
        (142_000, True, "   142k lines"),
        (999_600, True, "   1.0M lines"),
        (14_000_000, False, "   ~14M lines"),
        (2 * 10**9, True, "   2.0G lines"),
    ],
)
def test_lines_are_told_to_the_last_one_while_there_are_few(number: int, exact: bool, text: str) -> None:
    assert count(number, exact) == text


@given(st.integers(0, 10**15), st.booleans())
def test_lines_keep_to_their_column(number: int, exact: bool) -> None:
    assert len(count(number, exact)) == 13


def test_a_percentage_is_full_only_when_all_is_done() -> None:
    assert [percent(each) for each in (-1, 0.0, 0.29, 0.58, 0.999, 1.0, 7)] == [
        *("  0%", "  0%", " 29%", " 58%", " 99%", "100%", "100%")
    ]


def test_silence_is_told_in_its_greatest_unit() -> None:
    assert [quiet(each) for each in (8.9, 75, 7300, 3 * DAYS)] == ["quiet 8s", "quiet 1m", "quiet 2h", "quiet 3d"]


def test_the_last_second_of_what_is_left_is_a_second() -> None:
    assert [whole_seconds(each) for each in (0.1, 6.2, 65.0, -3.0)] == ["1s", "7s", "1m5s", "0s"]
