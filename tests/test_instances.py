"""What an instance may do: it only shrinks."""

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from protocols.ids import TaskId
from protocols.instances import Bounds, Handover, Instance, find_excess, fits, narrow

_seconds = st.floats(0, 1e6)
_bounds = st.builds(
    Bounds,
    depth=st.integers(0, 5),
    fan_out=st.integers(0, 100),
    concurrency=st.integers(1, 100),
    timeout=st.none() | _seconds,
    grace=st.none() | _seconds,
)
_wanted = st.builds(
    Instance,
    plan=st.just("sub.toml"),
    giver=st.none() | st.just(TaskId("a")),
    depth=st.none() | st.integers(0, 9),
    fan_out=st.none() | st.integers(0, 200),
    concurrency=st.none() | st.integers(1, 200),
)


@given(bounds=_bounds, wanted=_wanted, timeout=st.none() | _seconds, grace=_seconds)
def test_what_is_handed_down_is_never_more_than_there_is(
    bounds: Bounds, wanted: Instance, timeout: float | None, grace: float
) -> None:
    inner = narrow(bounds, wanted, timeout=timeout, grace=grace)

    assert bounds.depth < 1 or fits(inner, bounds)
    assert not fits(bounds, bounds)
    assert inner.grace is not None and inner.grace <= grace
    assert timeout is None or (inner.timeout is not None and inner.timeout <= timeout)


@given(bounds=_bounds, wanted=_wanted)
def test_a_plan_that_asks_for_no_more_gets_what_it_asks_for(bounds: Bounds, wanted: Instance) -> None:
    inner = narrow(bounds, wanted, timeout=None, grace=math.inf)

    asked = [
        (wanted.depth, inner.depth),
        (wanted.fan_out, inner.fan_out),
        (wanted.concurrency, inner.concurrency),
    ]
    granted = bounds.depth > 0 and all(want is None or want == got for want, got in asked)
    assert granted == (not [*find_excess(bounds, wanted)])


@given(_bounds, st.lists(_wanted, min_size=6, max_size=6))
def test_no_chain_of_instances_is_longer_than_the_depth(bounds: Bounds, wanted: list[Instance]) -> None:
    depth, levels = bounds.depth, 0
    for each in wanted:
        if bounds.depth < 1:
            break
        bounds = narrow(bounds, each, timeout=None, grace=1.0)
        levels += 1

    assert levels <= depth


@given(_bounds)
def test_a_handover_survives_its_file(bounds: Bounds) -> None:
    handover = Handover(path="root/a", bounds=bounds, token="t" * 32, parent="/p", runs="/p/instances/a/runs")

    assert msgspec.json.decode(msgspec.json.encode(handover), type=Handover) == handover
