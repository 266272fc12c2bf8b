"""What records add up to, in order and in any other order."""

import math

import msgspec
from hypothesis import given

from protocols.events import (
    AttemptStarting,
    Event,
    Record,
    RunEnded,
    RunStarted,
    RunStopping,
    SpoolBlocked,
    SpoolResumed,
    TaskStatusChanged,
    WorkerExited,
    WorkerGap,
    WorkerOutput,
    WorkerStarted,
)
from protocols.fleet_events import KeeperLost
from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.kinds import Stream
from protocols.states import RunView
from protocols.task_events import RunRetried, TasksAdded
from tests.made_events import records

A, W = TaskId("a"), WorkerId("a")
_STARTED = RunStarted(at=1.0, run=RunId("r"), plan="p.toml", tasks=(A, TaskId("b")), pid=7, version="1")


def _starting(attempt: int, worker: str = "a") -> AttemptStarting:
    return AttemptStarting(
        at=2.0, worker=WorkerId(worker), attempt=attempt, id=AttemptId(f"{attempt}"), argv=("x",), cwd="/"
    )


def _output(offset: int, length: int, attempt: int = 1, stream: Stream = "stdout") -> WorkerOutput:
    return WorkerOutput(at=3.0, worker=W, attempt=attempt, stream=stream, offset=offset, length=length)


def _view(*events: Event) -> RunView:
    view = RunView()
    for seq, event in enumerate((_STARTED, *events), 1):
        view.apply(Record(seq, event))
    return view


@given(records)
def test_no_sequence_of_records_raises_and_the_last_one_is_known(found: list[Record]) -> None:
    view = RunView()
    for record in found:
        view.apply(record)

    assert view.last_seq == len(found)
    assert view.last_at is found[-1].event.at if found else view.last_at is None
    assert sum(view.counts().values()) == len(view.tasks)


@given(records)
def test_the_last_word_on_a_run_and_on_each_task_counts(found: list[Record]) -> None:
    view = RunView()
    for record in found:
        view.apply(record)
    events = [record.event for record in found]
    begun = max((at for at, event in enumerate(events) if isinstance(event, RunStarted)), default=-1)

    end = next((e for e in reversed(events) if isinstance(e, RunEnded | RunRetried)), None)
    stop = next((e for e in reversed(events) if isinstance(e, RunStopping | RunRetried)), None)
    assert view.outcome == (end.outcome if isinstance(end, RunEnded) else None)
    assert view.stopping is (stop if isinstance(stop, RunStopping) else None)
    for task in view.tasks.values():
        said = [e for e in events[begun + 1 :] if _tells_of(e, task.id)]
        last = said[-1] if said else None
        assert task.status == (last.status if isinstance(last, TaskStatusChanged) else "pending")


def _tells_of(event: Event, task: TaskId) -> bool:
    if isinstance(event, RunRetried):
        return task in event.tasks
    return isinstance(event, TaskStatusChanged) and event.task == task


@given(records)
def test_attempts_are_those_that_were_starting_and_their_output_never_shrinks_unless_it_is_cut(
    found: list[Record],
) -> None:
    view = RunView()
    before: dict[tuple[TaskId, int, Stream], int] = {}
    for record in found:
        view.apply(record)
        if isinstance(record.event, RunStarted) or (isinstance(record.event, WorkerGap) and record.event.cut):
            before = {}
        now = {
            (task.id, at, stream): size
            for task in view.tasks.values()
            for at, attempt in enumerate(task.attempts)
            for stream, size in attempt.output.items()
        }
        assert all(now[key] >= size for key, size in before.items())
        before = now


def test_an_attempt_gets_what_is_said_of_it_and_of_no_other() -> None:
    started = WorkerStarted(at=2.5, worker=W, attempt=2, pid=9, start_ticks=1, boot_id="b", pid_namespace=1)
    view = _view(_starting(1), _output(0, 5), _output(5, 2), _starting(2), _output(0, 1, 2, "stderr"), started)

    first, second = view.tasks[A].attempts
    assert (first.output, first.started) == ({"stdout": 7, "stderr": 0, "terminal": 0, "log": 0, "session": 0}, None)
    assert (second.output, second.started) == (
        {"stdout": 0, "stderr": 1, "terminal": 0, "log": 0, "session": 0},
        started,
    )


def test_what_is_said_of_an_attempt_that_never_began_is_left_aside() -> None:
    view = _view(_output(0, 5, attempt=3), _starting(1))

    assert [attempt.output["stdout"] for attempt in view.tasks[A].attempts] == [0]


def test_a_stream_that_waits_for_the_disk_is_told_until_that_one_goes_on() -> None:
    blocked = [SpoolBlocked(at=1.0, worker=W, attempt=1, stream=each, error=f"{each} full") for each in _STREAMS]
    resumed = [SpoolResumed(at=1.0, worker=W, attempt=1, stream=each) for each in _STREAMS]
    said: list[Event] = [_starting(1), *blocked, *resumed]
    seen = [_view(*said[:count]).tasks[A].attempts[0].blocked for count in range(1, 6)]

    assert seen == [
        {},
        {"stdout": "stdout full"},
        {"stdout": "stdout full", "stderr": "stderr full"},
        {"stderr": "stderr full"},
        {},
    ]


_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


def test_nothing_waits_for_the_disk_when_its_keeper_is_lost_or_it_has_ended() -> None:
    """The next keeper says it again."""
    blocked: list[Event] = [_starting(1), SpoolBlocked(at=1.0, worker=W, attempt=1, stream="stdout", error="full")]
    exited = WorkerExited(
        at=4.0,
        worker=W,
        attempt=1,
        code=0,
        signal=None,
        reason="exit",
        started_at=2.0,
        ended_at=math.pi,
        stdout_bytes=0,
        stderr_bytes=0,
    )

    for then in (KeeperLost(at=1.0, pid=1, reason="killed"), exited):
        assert _view(*blocked, then).tasks[A].attempts[0].blocked == {}


def test_a_gap_is_counted_and_a_cut_sets_the_output_back() -> None:
    gap = WorkerGap(at=2.0, worker=W, attempt=1, stream="stdout", offset=4, lost=None, why="w")
    cut = msgspec.structs.replace(gap, offset=0, lost=9, cut=True)
    (attempt,) = _view(_starting(1), _output(0, 4), gap, _output(4, 5), cut, _output(0, 2)).tasks[A].attempts

    assert (attempt.gaps, attempt.lost, attempt.cuts, attempt.gap) == (2, 9, {"stdout": 1}, cut)
    assert attempt.output["stdout"] == 2


def test_tasks_that_are_made_for_another_stand_behind_it_and_have_what_is_said_of_it() -> None:
    b, x, y = (TaskId(name) for name in ("b", "a[x]", "a[y]"))
    begun = msgspec.structs.replace(_STARTED, roles={A: "role"}, timeouts={A: 5.0})
    early = TaskStatusChanged(at=1.0, task=y, status="running")

    view = _view(begun, early, TasksAdded(at=1.0, task=A, source=b, tasks=(x, y)))

    assert (list(view.tasks), view.tasks[A].made) == ([A, x, y, b], (x, y))
    assert view.tasks[A].how_far == "0 of 2 items done"
    assert [(task.role, task.timeout, task.status) for task in view.tasks.values()] == [
        ("role", 5.0, "pending"),
        ("role", 5.0, "pending"),
        ("role", 5.0, "running"),
        ("", None, "pending"),
    ]
    for seq in (9, 10):
        view.apply(Record(seq, TaskStatusChanged(at=2.0, task=y, status="failed")))
    assert view.tasks[A].how_far == "1 of 2 items done"
