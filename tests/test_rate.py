"""How fast things are told to go."""

import math

from hypothesis import given
from hypothesis import strategies as st

from protocols.rate import Rate

_STEPS = st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10**12)), max_size=30)


def test_a_steady_flow_is_told_as_it_is() -> None:
    rate = Rate()

    for step in range(200):
        rate.add(step / 10, 500)

    assert math.isclose(rate.at(19.9), 5000, rel_tol=0.05)


def test_what_has_stopped_fades_to_nothing() -> None:
    rate = Rate()
    rate.add(0, 1_000_000)

    seen = [rate.at(second) for second in range(60)]

    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 0


def test_nothing_is_no_flow() -> None:
    assert Rate().at(0) == 0


@given(_STEPS)
def test_it_is_never_negative_and_never_more_than_all_that_came(steps: list[tuple[float, int]]) -> None:
    rate, at = Rate(), 0.0
    for step, amount in steps:
        at += step
        rate.add(at, amount)

    assert 0 <= rate.at(at) <= sum(amount for _, amount in steps)


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_a_clock_that_jumps_back_makes_no_burst(first: float, second: float) -> None:
    rate = Rate()
    rate.add(first, 100)
    rate.add(second, 100)

    assert rate.at(min(first, second) - 1000) <= 100
