from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.backoff import delay, delays


def longest() -> float:
    return 1.0


def shortest() -> float:
    return 0.0


def test_pauses_double_up_to_the_ceiling() -> None:
    assert list(islice(delays(1.0, 10.0, longest), 6)) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_jitter_shortens_a_pause_by_half_at_most() -> None:
    assert list(islice(delays(1.0, 10.0, shortest), 6)) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_the_ceiling_is_a_minute_unless_told() -> None:
    assert delay(1_000, 1.0, random=longest) == 60.0


def test_a_first_pause_over_the_ceiling_is_cut_to_it() -> None:
    assert delay(1, 90.0, 60.0, longest) == 60.0


@pytest.mark.parametrize("first", [0.0, 1e-300, 1.0, 1e300])
def test_no_number_of_attempts_is_too_large(first: float) -> None:
    assert 0.0 <= delay(10**9, first, 60.0, longest) <= 60.0


@given(st.integers(1, 10_000), st.floats(0.001, 1e9), st.floats(0.001, 1e9))
def test_the_real_jitter_stays_within_its_bounds(attempt: int, first: float, ceiling: float) -> None:
    assert delay(attempt, first, ceiling, shortest) <= delay(attempt, first, ceiling)
    assert delay(attempt, first, ceiling) <= delay(attempt, first, ceiling, longest)
