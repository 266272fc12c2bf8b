"""What is still to be recorded of a run whose supervisor is gone: from its records, status files and spool."""

from collections.abc import Iterator, Sequence
from typing import get_args

from actors.keeper_process.status import Status, read_status
from protocols.attempt_view import AttemptView
from protocols.events import (
    Event,
    Record,
    RunEnded,
    TaskStatusChanged,
    WorkerExited,
    WorkerGap,
    WorkerMismatch,
    WorkerOutput,
)
from protocols.fleet_events import FleetSwept
from protocols.ids import TaskId, WorkerId
from protocols.kinds import EndReason, Stream, TaskStatus
from protocols.layout import FleetFolder
from protocols.states import RunView, TaskView

__all__ = ["closing_events"]

_STREAMS: tuple[Stream, ...] = get_args(Stream)
_REASONS: dict[str | None, EndReason] = {reason: reason for reason in get_args(EndReason)}
_OPEN = ("pending", "running", "retrying", "restarting")
_KILLED = "callboard was killed"


def closing_events(folder: FleetFolder, view: RunView, swept: tuple[str, ...], at: float) -> list[Event]:
    """The missing events, ``run.ended`` last; they are applied to the view as well. Empty where it has ended.

    Where nothing was left to be swept at ``at``, the run ended when it was last seen alive.
    """
    if view.outcome is not None:
        return []
    ended_at = at if swept else _last_evidence(folder, view, at)
    events = [*_worker_events(folder, view, at, ended_at)]
    if swept:
        events.append(FleetSwept(at=at, processes=swept))
    _apply(view, events)
    changes = [_conclude_task(task, at) for task in view.tasks.values() if task.status in _OPEN]
    _apply(view, changes)
    end = RunEnded(at=ended_at, outcome="interrupted", counts=view.counts())
    _apply(view, [end])
    return [*events, *changes, end]


def _last_evidence(folder: FleetFolder, view: RunView, now: float) -> float:
    """When something of the run was last seen alive: it may be long before anybody looks."""
    seen = [view.last_at or now]
    for task in view.tasks.values():
        for attempt in task.attempts:
            status = _read_status(folder, attempt)
            if status is not None and status.exited_at is not None:
                seen.append(status.exited_at)
    return min(max(seen), now)


def _apply(view: RunView, events: Sequence[Event]) -> None:
    for event in events:
        view.apply(Record(view.last_seq + 1, event))


def _worker_events(folder: FleetFolder, view: RunView, at: float, seen_at: float) -> Iterator[Event]:
    for task in view.tasks.values():
        for attempt in task.attempts:
            if attempt.exited is None:
                yield from _attempt_events(folder, task.id, attempt, at, seen_at)


def _attempt_events(
    folder: FleetFolder, task: TaskId, attempt: AttemptView, at: float, seen_at: float
) -> Iterator[Event]:
    """Ranges of output that no record covers, what does not agree, and the end of the attempt."""
    worker = WorkerId(task)
    status = _read_status(folder, attempt)
    spooled = {stream: _size(folder, worker, attempt.number, stream) for stream in _STREAMS}
    for stream, size in spooled.items():
        covered = attempt.output[stream]
        if size < covered and _writes_itself(attempt):
            yield _gap(worker, attempt, stream, 0, covered, "the worker cut the file that it writes", at)
            covered = 0
        if size > covered:
            yield WorkerOutput(
                at=at, worker=worker, attempt=attempt.number, stream=stream, offset=covered, length=size - covered
            )
        written = _written(status, stream)
        if size < covered or written not in (None, size):
            yield WorkerMismatch(
                at=at,
                worker=worker,
                attempt=attempt.number,
                stream=stream,
                written=size if written is None else written,
                spooled=size,
                recorded=max(covered, size),
            )
    if attempt.log:
        why = f"callboard was killed; what {attempt.log} got since is only there"
        yield _gap(worker, attempt, "log", spooled["log"], None, why, at)
    yield _exit(worker, attempt, status, spooled, at, seen_at)


def _writes_itself(attempt: AttemptView) -> bool:
    return attempt.source == "logfile" and not attempt.log


def _gap(
    worker: WorkerId, attempt: AttemptView, stream: Stream, offset: int, lost: int | None, why: str, at: float
) -> WorkerGap:
    """A known number of bytes was in the spool, and was cut off."""
    return WorkerGap(
        at=at,
        worker=worker,
        attempt=attempt.number,
        stream=stream,
        offset=offset,
        lost=lost,
        why=why,
        cut=lost is not None,
    )


def _exit(
    worker: WorkerId, attempt: AttemptView, status: Status | None, spooled: dict[Stream, int], at: float, seen_at: float
) -> WorkerExited:
    """What the keeper's status file tells; where it tells nothing, nobody knows, and it ends when it was last seen."""
    code, signal, ended_at = None, None, seen_at
    reason: EndReason = "lost"
    error = "callboard and its keeper were killed; nobody saw how it ended"
    if status is not None and status.exited_at is not None:
        code, signal, ended_at = status.code, status.signal, status.exited_at
        reason, error = _REASONS.get(status.reason, "exit"), ""
    elif attempt.started is not None and not attempt.started.pid:
        followed = "its session" if attempt.source == "session" else "its file"
        reason, error = "orphaned", f"callboard was killed, and nobody followed {followed} any more"
    elif status is None and attempt.started is None:
        reason, error = "not-started", "callboard was killed before it could be started"
    return WorkerExited(
        at=at,
        worker=worker,
        attempt=attempt.number,
        code=code,
        signal=signal,
        reason=reason,
        started_at=attempt.started.at if attempt.started else None,
        ended_at=ended_at,
        stdout_bytes=spooled["stdout"],
        stderr_bytes=spooled["stderr"],
        terminal_bytes=spooled["terminal"],
        log_bytes=spooled["log"],
        session_bytes=spooled["session"],
        error=error,
    )


def _conclude_task(task: TaskView, at: float) -> TaskStatusChanged:
    """A task whose worker ended well did its work, whoever was killed after it; but nobody looks for its output now."""
    last = task.attempts[-1] if len(task.attempts) > task.passed else None
    given = not task.gives or (task.output is not None and task.output.attempt == len(task.attempts))
    done = last is not None and last.exited is not None and _did_work(last.exited) and given
    status: TaskStatus = "succeeded" if done else "stopped"
    return TaskStatusChanged(
        at=at,
        task=task.id,
        status=status,
        reason="" if done else _KILLED,
        attempt=last.number if last else 0,
        allowed=task.allowed,
    )


def _did_work(exited: WorkerExited) -> bool:
    return exited.reason == "sentinel" or (exited.reason == "exit" and exited.code == 0)


def _read_status(folder: FleetFolder, attempt: AttemptView) -> Status | None:
    status = read_status(folder.status(attempt.id))
    return status if status is not None and status.attempt == attempt.id else None


def _written(status: Status | None, stream: Stream) -> int | None:
    """Bytes that the keeper says it copied; None where it does not say."""
    if status is None:
        return None
    said = {
        "stdout": status.stdout_bytes,
        "stderr": status.stderr_bytes,
        "terminal": status.terminal_bytes,
    }
    return said.get(stream)


def _size(folder: FleetFolder, worker: WorkerId, attempt: int, stream: Stream) -> int:
    try:
        return folder.spool(worker, attempt, stream).stat().st_size
    except FileNotFoundError:
        return 0
