"""The limits of a worker, as supervisor and keeper say them to each other."""

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


@given(st.from_type(WorkerLimits))
def test_what_a_supervisor_says_is_understood_or_refused(limits: WorkerLimits) -> None:
    said = msgspec.json.decode(msgspec.json.encode(limits))
    try:
        heard = parse_limits(said)
    except BadRequestError:
        assert min(limits.nice or 0, limits.memory or 0, limits.cpu_time or 0, limits.open_files or 0) < 0 or (
            (limits.nice or 0) > 19 or (limits.spool_limit or 0) < 0
        )
        return
    assert heard.nice == (limits.nice or 0)
    assert heard.watched == (limits.memory is not None or limits.cpu_time is not None)
    assert heard.fails_at_spool_limit == (limits.at_spool_limit == "fail")


@pytest.mark.parametrize(
    "value",
    [7, [], {"nice": 20}, {"nice": 1.5}, {"memory": "1"}, {"memory": -1}, {"cpu_time": True}, {"at_spool_limit": "x"}],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(BadRequestError, match="limits"):
        parse_limits(value)


def test_sizes_are_short() -> None:
    assert [size_text(size) for size in (5, 1_500, 312_000_000, 2 * 10**9)] == ["5 B", "1.5 kB", "312 MB", "2 GB"]
