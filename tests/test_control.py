"""What a client may ask a fleet, and how a run stands."""

import msgspec
import pytest
from hypothesis import given

from protocols.control import RunStatus, StatusParams, StopParams, TaskLine, VerdictLine, run_status
from protocols.events import Event, Record, RunStopping, SpoolBlocked, WorkerProgress, WorkerStopping
from protocols.ids import RunId, TaskId, WorkerId
from protocols.server_events import ServerEnded, ServerStarted
from protocols.states import RunView
from tests.made_events import records
from tests.made_fleets import AT, exited, judged, output, run_ended, run_started, started, starting, status

A = WorkerId("a")
NOW = AT + 10
_TERM = ("killed by SIGTERM",)


def _status(*events: Event) -> RunStatus:
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    return run_status(view, NOW)


def _line(*events: Event) -> TaskLine:
    (line,) = _status(run_started("a"), *events).tasks
    return line


@pytest.mark.parametrize(
    ("params", "grace"), [(b"{}", None), (b'{"grace": 0}', 0.0), (b'{"grace": 2.5, "reason": "over"}', 2.5)]
)
def test_a_stop_may_say_how_long_and_why(params: bytes, grace: float | None) -> None:
    stop = msgspec.json.decode(params, type=StopParams)

    assert stop.grace == grace and stop.reason in {"over", "stopped by a client"}


@pytest.mark.parametrize("params", [b'{"grace": -1}', b'{"grace": "1s"}', b'{"graec": 1}', b'{"reason": 5}', b"[]"])
def test_a_slip_in_the_parameters_is_an_error(params: bytes) -> None:
    for kind in (StopParams, StatusParams):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(params, type=kind)


def test_before_its_first_record_nothing_is_known_of_a_run() -> None:
    assert _status() == RunStatus(
        run=None,
        plan="",
        pid=None,
        started_at=None,
        seconds=None,
        stopping="",
        outcome="",
        counts={},
        tasks=(),
        last_seq=0,
    )


def test_a_run_is_told_by_how_its_tasks_stand() -> None:
    stands = _status(run_started("a", "b"), status("a", "failed"), RunStopping(at=AT, reason="SIGINT", grace=1.0))

    assert (stands.run, stands.plan, stands.pid, stands.last_seq) == (RunId("aaaaaaaa"), "plan.toml", 1, 3)
    assert (stands.seconds, stands.stopping, stands.outcome) == (10.0, "SIGINT", "")
    assert stands.counts == {"failed": 1, "pending": 1}
    assert [line.task for line in stands.tasks] == ["a", "b"]


def test_the_servers_of_a_run_are_told_as_they_stand() -> None:
    ready = ServerStarted(at=AT, server="c-1", url="http://x", version="1", boot=1, pid=5)
    down = ServerEnded(at=AT, server="c-1", boot=1, why="it died", again_in=0.5)
    lost = ServerEnded(at=AT, server="c-2", boot=3, why="it died", again_in=None, given_up=True)
    left = ServerEnded(at=AT, server="c-3", boot=1, why="nobody needs it any more", again_in=None)

    assert _status(run_started("a"), ready).servers == (ready,)
    assert _status(run_started("a"), ready, down, lost, left).servers == (down, lost)
    assert _status(run_started("a"), ready, down, ready).servers == (ready,)
    assert _status(run_started("a"), ready, lost, run_ended(failed=1)).servers == (lost,)


def test_the_time_of_a_run_that_has_ended_stands_still() -> None:
    ended = _status(run_started("a"), run_ended(succeeded=1))

    assert (ended.seconds, ended.outcome) == (3.0, "succeeded")


def test_a_task_without_an_attempt_has_a_status_only() -> None:
    assert _line(status("a", "skipped", reason="why")) == TaskLine(task=TaskId("a"), status="skipped", reason="why")


def test_a_worker_that_runs_is_told_with_what_shows_that() -> None:
    progress = WorkerProgress(at=AT, worker=A, attempt=1, fraction=0.5, label="building")
    blocked = SpoolBlocked(at=AT, worker=A, attempt=1, stream="stderr", error="full")
    stopping = WorkerStopping(at=AT, worker=A, attempt=1, reason="timeout", grace=1.0)
    said = (starting("a"), started("a", pid=7), output("a", length=5, at=AT + 4), progress, blocked, stopping)
    line = _line(status("a", "running"), *said)

    assert (line.attempt, line.pid, line.seconds, line.quiet_for) == (1, 7, 10.0, 6.0)
    assert (line.stdout_bytes, line.stderr_bytes) == (5, 0)
    assert (line.fraction, line.label, line.stopping, line.blocked) == (0.5, "building", "timeout", "full")


def test_a_worker_that_has_printed_nothing_is_quiet_since_its_start() -> None:
    assert _line(starting("a"), started("a", at=AT + 3)).quiet_for == 7.0


def test_a_worker_that_has_ended_is_neither_quiet_nor_stopping() -> None:
    stopping = WorkerStopping(at=AT, worker=A, attempt=1, reason="stop", grace=1.0)
    line = _line(starting("a"), started("a"), stopping, exited("a"))

    assert (line.pid, line.seconds, line.quiet_for, line.stopping) == (None, 2.0, None, "")


def test_a_worker_is_told_with_its_verdict_and_since_when() -> None:
    line = _line(starting("a"), started("a"), judged("a", "working"), judged("a", "quiet", "why", "so", at=AT + 4))

    assert line.verdict == VerdictLine("quiet", False, ("why", "so"), AT + 4)


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        (exited("a"), VerdictLine("complete", True, ("exit code 0",), AT + 2)),
        (exited("a", code=3), VerdictLine("error", True, ("exit code 3",), AT + 2)),
        (exited("a", code=None, signal="SIGTERM", reason="stop"), VerdictLine("complete", True, _TERM, AT + 2)),
        (exited("a", reason="orphaned"), VerdictLine("stalled", True, ("why",), AT + 1)),
        (exited("a", code=None, reason="lost"), VerdictLine("stalled", True, ("why",), AT + 1)),
    ],
)
def test_an_end_is_the_last_verdict_if_somebody_saw_it(end: Event, verdict: VerdictLine) -> None:
    before = (starting("a"), started("a"), judged("a", "stalled", "why", at=AT + 1))

    assert _line(*before, end).verdict == verdict


def test_the_last_attempt_is_the_one_that_counts() -> None:
    line = _line(starting("a"), started("a"), exited("a"), starting("a", 2, at=AT + 5))

    assert (line.attempt, line.pid, line.seconds) == (2, None, 5.0)


@given(records)
def test_how_a_run_stands_can_always_be_told_and_read(found: list[Record]) -> None:
    stands = _status(*(record.event for record in found))

    assert stands.last_seq == len(found)
    assert sum(stands.counts.values()) == len(stands.tasks)
    assert msgspec.json.decode(msgspec.json.encode(stands), type=RunStatus) == stands
