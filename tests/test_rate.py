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


@given(st.floats(6, 10**6))
def test_a_clock_that_is_set_back_makes_no_burst(back: float) -> None:
    rate = Rate()
    for step in range(100):
        rate.add(step / 10, 500)
    before = rate.at(9.9)

    assert rate.at(9.9 - back) == 0
    for step in range(100):
        rate.add(9.9 - back + step / 10, 500)

    assert math.isclose(rate.at(9.9 - back + 9.9), before, rel_tol=0.05)


@given(st.lists(st.floats(0, 4), max_size=20))
def test_amounts_that_come_a_little_out_of_order_all_count(times: list[float]) -> None:
    rate = Rate()
    for at in times:
        rate.add(at, 1000)

    assert rate.at(4) >= len(times) * 500 * math.exp(-2) * 0.99
