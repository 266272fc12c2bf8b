"""The limits of a worker, as supervisor and keeper say them to each other."""

from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_process.fields import BadRequestError
from actors.keeper_process.worker_limits import Limits, parse_limits, size_text
from protocols.worker_limits import WorkerLimits


def test_without_any_nothing_is_limited() -> None:
    assert parse_limits(None) == parse_limits({}) == Limits()
    assert not Limits().watched


sizes = st.none() | st.integers(0, 2**53)
plan_limits = st.builds(
    WorkerLimits,
    nice=st.none() | st.integers(0, 19),
    open_files=st.none() | st.integers(16, 10**6),
    cpu_time=st.none() | st.floats(0.001, 1e8),
    memory=sizes,
    spool_limit=sizes,
    at_spool_limit=st.sampled_from([None, "pause", "fail"]),
)


@given(plan_limits)
def test_what_a_supervisor_says_is_what_its_keeper_hears(limits: WorkerLimits) -> None:
    assert parse_limits(msgspec.json.decode(msgspec.json.encode(limits))) == Limits(
        nice=limits.nice or 0,
        open_files=limits.open_files,
        cpu_time=inf if limits.cpu_time is None else limits.cpu_time,
        memory=inf if limits.memory is None else limits.memory,
        spool_limit=inf if limits.spool_limit is None else limits.spool_limit,
        fails_at_spool_limit=limits.at_spool_limit == "fail",
    )


def test_only_limits_that_are_kept_by_counting_have_to_be_watched() -> None:
    assert Limits(memory=1.0).watched and Limits(cpu_time=1.0).watched
    assert not Limits(nice=1, open_files=16, spool_limit=1.0).watched


@pytest.mark.parametrize(
    "value",
    [7, [], {"nice": 20}, {"nice": 1.5}, {"memory": "1"}, {"memory": -1}, {"cpu_time": True}, {"at_spool_limit": "x"}],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(BadRequestError, match="limits"):
        parse_limits(value)


def test_sizes_are_short() -> None:
    assert [size_text(size) for size in (5, 1_500, 312_000_000, 2 * 10**9)] == ["5 B", "1.5 kB", "312 MB", "2 GB"]
