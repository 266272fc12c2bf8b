"""A clock that is set back does not stand still for those who wait by it."""

from hypothesis import given
from hypothesis import strategies as st

from actors.steady_clock import SteadyClock


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(-5000, 5000))))
def test_as_much_time_passes_as_did_whatever_is_done_to_the_clock(steps: list[tuple[int, int]]) -> None:
    wall, elapsed = 10_000.0, 5.0
    clock = SteadyClock(lambda: wall, lambda: elapsed)
    before = clock()

    for passed, step in steps:
        elapsed += passed
        wall += passed + step
        now = clock()
        assert now == max(wall, before + passed)
        before = now
