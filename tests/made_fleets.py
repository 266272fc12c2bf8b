"""Fleets on disk for tests, in any state in which a supervisor could have left them."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from actors.journal_file import open_journal
from protocols.events import (
    AttemptStarting,
    Event,
    RunEnded,
    RunStarted,
    TaskStatusChanged,
    WorkerExited,
    WorkerOutput,
    WorkerStarted,
    WorkerVerdict,
)
from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.kinds import Outcome, Source, Stream, TaskStatus
from protocols.liveness_states import State
from supervisor.fleets import Fleet, create_fleet
from supervisor.machine import boot_id, pid_namespace

__all__ = ["add_records", "fill_spool", "make_fleet"]

AT = 1000.0


def make_fleet(state: Path, events: Sequence[Event] | None = (), *, at: float = AT) -> Fleet:
    """A fleet whose supervisor is dead; without a journal where ``events`` is None."""
    with create_fleet(state, plan="plan.toml", cwd="/work", version="1.2", now=lambda: at) as made:
        ours = made.identity
    identity = msgspec.structs.replace(ours, start_ticks=ours.start_ticks - 1)  # nobody has our pid and that start
    made.folder.identity.write_bytes(msgspec.json.encode(identity))
    fleet = Fleet(made.folder, identity, "", at)
    if events is not None:
        add_records(fleet, events)
    return fleet


def add_records(fleet: Fleet, events: Sequence[Event]) -> None:
    with closing(open_journal(fleet.folder.journal)) as journal:
        journal.append(events)


def attempt_id(task: str, number: int = 1) -> AttemptId:
    return AttemptId(f"{task.encode().hex()}{number:02}".rjust(32, "0"))


def run_started(*tasks: str) -> RunStarted:
    names = tuple(TaskId(task) for task in tasks)
    return RunStarted(at=AT, run=RunId("aaaaaaaa"), plan="plan.toml", tasks=names, pid=1, version="1.2")


def status(task: str, status: TaskStatus, *, attempt: int = 0, reason: str = "", at: float = AT) -> TaskStatusChanged:
    return TaskStatusChanged(at=at, task=TaskId(task), status=status, attempt=attempt, reason=reason)


def starting(
    task: str,
    attempt: int = 1,
    *,
    at: float = AT,
    source: Source = "pipe",
    window: tuple[int, int] | None = None,
    log: str = "",
    command: bool = True,
) -> AttemptStarting:
    return AttemptStarting(
        at=at,
        worker=WorkerId(task),
        attempt=attempt,
        id=attempt_id(task, attempt),
        argv=("true",) if command else (),
        cwd="/work",
        source=source,
        window=window,
        log=log,
    )


def started(
    task: str, attempt: int = 1, *, pid: int = 2**22 + 1, start_ticks: int = 1, at: float = AT
) -> WorkerStarted:
    return WorkerStarted(
        at=at,
        worker=WorkerId(task),
        attempt=attempt,
        pid=pid,
        start_ticks=start_ticks,
        boot_id=boot_id(),
        pid_namespace=pid_namespace(),
    )


def output(
    task: str, attempt: int = 1, *, stream: Stream = "stdout", offset: int = 0, length: int, at: float = AT
) -> WorkerOutput:
    return WorkerOutput(at=at, worker=WorkerId(task), attempt=attempt, stream=stream, offset=offset, length=length)


def judged(task: str, state: State, *reasons: str, attempt: int = 1, at: float = AT) -> WorkerVerdict:
    """Only a suspicion and what nobody knows are not confirmed."""
    confirmed = state not in {"quiet", "unknown"}
    return WorkerVerdict(
        at=at, worker=WorkerId(task), attempt=attempt, state=state, confirmed=confirmed, reasons=reasons
    )


def exited(task: str, attempt: int = 1, *, code: int | None = 0, signal: str | None = None, **more: object) -> Event:
    event = WorkerExited(
        at=AT + 2,
        worker=WorkerId(task),
        attempt=attempt,
        code=code,
        signal=signal,
        reason="exit",
        started_at=AT,
        ended_at=AT + 2,
        stdout_bytes=0,
        stderr_bytes=0,
    )
    return msgspec.structs.replace(event, **more)


def run_ended(**counts: int) -> RunEnded:
    outcome: Outcome = "succeeded" if set(counts) <= {"succeeded"} else "failed"
    return RunEnded(at=AT + 3, outcome=outcome, counts=counts)


def fill_spool(fleet: Fleet, task: str, data: bytes, *, attempt: int = 1, stream: Stream = "stdout") -> Path:
    path = fleet.folder.spool(WorkerId(task), attempt, stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
