"""What became of a run, as data: built from its records and its spool, kept as ``report.json``."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.files import replace_file
from protocols.attempt_view import AttemptView
from protocols.budget_lines import BudgetLine, budget_lines
from protocols.deeds import list_deeds
from protocols.ids import AttemptId, FleetId, RunId, TaskId, WorkerId
from protocols.kinds import EndReason, Outcome, Stream, TaskStatus
from protocols.layout import FleetFolder
from protocols.states import RunView, TaskView
from protocols.task_output import Form, TaskOutput
from protocols.task_tree import count_tree, walk
from supervisor.identity import Identity
from supervisor.instance_tree import descend
from supervisor.session_use import SessionUse, add_up, session_use

__all__ = ["Report", "build_report", "count_lines", "read_report", "write_report"]

_CHUNK = 1024 * 1024


class StreamReport(msgspec.Struct, frozen=True, kw_only=True):
    bytes: int
    """As many as lie in the spool."""
    lines: int
    """A last line without its end counts too."""


_NOTHING = StreamReport(bytes=0, lines=0)


class AttemptReport(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    id: AttemptId
    started_at: float
    ended_at: float | None
    """When the leader exited; None where the end is not known, or not yet there."""
    seconds: float | None
    code: int | None
    signal: str | None
    reason: EndReason | None
    stdout: StreamReport
    stderr: StreamReport
    terminal: StreamReport = _NOTHING
    log: StreamReport = _NOTHING
    session: StreamReport = _NOTHING
    gaps: int = 0
    """How often output was lost."""
    lost: int = 0
    """Bytes in these gaps, as far as that is known."""
    swept: tuple[str, ...]
    error: str
    stalled_seconds: float = 0.0
    """How long it was known to stand still, in all."""
    actions: tuple[str, ...] = ()
    """What was done about that: ``nudged`` and the like."""
    use: SessionUse | None = None
    """Of a session on an agent server."""


class OutputReport(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    form: Form
    bytes: int
    sha256: str
    path: str
    """Of a copy, in the folder of the run."""


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    id: TaskId
    """Of a task of an instance with the path of that: ``build/itp-7``."""
    role: str = ""
    status: TaskStatus
    reason: str
    allowed: bool
    """A failure of this task stops nobody else."""
    started_at: float | None = None
    ended_at: float | None = None
    seconds: float | None
    """From the start of its first attempt, of those since a retry of the run, to the end of its last, with the pauses
    between them."""
    attempts: tuple[AttemptReport, ...]
    output: OutputReport | None = None
    """What it gave to others."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    tasks: int
    statuses: dict[str, int]
    attempts: int
    stdout: StreamReport
    stderr: StreamReport
    terminal: StreamReport = _NOTHING
    log: StreamReport = _NOTHING
    session: StreamReport = _NOTHING
    gaps: int = 0
    swept: int
    use: SessionUse | None = None
    """Of all sessions."""
    work_seconds: float = 0.0
    """Of all attempts together, as far as their ends are known."""
    seconds: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    format: int = 1
    run: RunId
    fleet: FleetId
    plan: str
    cwd: str
    version: str
    outcome: Outcome | None
    """None: it has not ended."""
    started_at: float
    ended_at: float | None
    totals: Totals
    tasks: tuple[TaskReport, ...]
    budgets: tuple[BudgetLine, ...] = ()


def build_report(folder: FleetFolder, identity: Identity, view: RunView) -> Report:
    """Read the whole spool of the run, to count its lines: about a second for each few gigabytes."""
    tasks = tuple(_task(descend(folder, leaf.way), leaf.name, leaf.task, view.last_at or 0.0) for leaf in walk(view))
    started_at = identity.started_at if view.started_at is None else view.started_at
    return Report(
        run=identity.run,
        fleet=identity.fleet,
        plan=identity.plan,
        cwd=identity.cwd,
        version=identity.version,
        outcome=view.outcome,
        started_at=started_at,
        ended_at=view.ended_at,
        totals=_totals(tasks, count_tree(view), _span(started_at, view.ended_at)),
        tasks=tasks,
        budgets=budget_lines(view.accounts.all, view.ended_at or view.last_at or 0.0),
    )


def write_report(folder: FleetFolder, report: Report) -> None:
    """Replace ``report.json``. Raise ``OSError``."""
    replace_file(folder.report_json, msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def read_report(folder: FleetFolder) -> Report | None:
    """What `write_report` left there; None where there is none that we understand."""
    try:
        return msgspec.json.decode(folder.report_json.read_bytes(), type=Report)
    except (OSError, ValueError):
        return None


def count_lines(path: Path) -> StreamReport:
    """Exact, in chunks. A file that is not there has no bytes. Raise ``OSError``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return StreamReport(bytes=0, lines=0)
    size = ends = 0
    last = b"\n"
    try:
        while chunk := os.read(fd, _CHUNK):
            size += len(chunk)
            ends += chunk.count(b"\n")
            last = chunk[-1:]
    finally:
        os.close(fd)
    return StreamReport(bytes=size, lines=ends + (last != b"\n"))


def _task(folder: FleetFolder, name: str, task: TaskView, last_at: float) -> TaskReport:
    attempts = tuple(_attempt(folder, task.id, attempt, last_at) for attempt in task.attempts)
    return TaskReport(
        id=TaskId(name),
        role=task.role,
        status=task.status,
        reason=task.reason,
        allowed=task.allowed,
        started_at=attempts[0].started_at if attempts else None,
        ended_at=attempts[-1].ended_at if attempts else None,
        seconds=_span((attempts[task.passed :] or attempts)[0].started_at, attempts[-1].ended_at) if attempts else None,
        attempts=attempts,
        output=None if task.status != "succeeded" else _output(task.output),
    )


def _output(given: TaskOutput | None) -> OutputReport | None:
    if given is None:
        return None
    return OutputReport(attempt=given.attempt, form=given.form, bytes=given.bytes, sha256=given.sha256, path=given.path)


def _attempt(folder: FleetFolder, task: TaskId, attempt: AttemptView, last_at: float) -> AttemptReport:
    exited = attempt.exited
    started_at = attempt.started.at if attempt.started else attempt.starting_at
    ended_at = exited.ended_at if exited and exited.reason != "lost" else None
    return AttemptReport(
        number=attempt.number,
        id=attempt.id,
        started_at=started_at,
        ended_at=ended_at,
        seconds=_span(started_at, ended_at),
        code=exited.code if exited else None,
        signal=exited.signal if exited else None,
        reason=exited.reason if exited else None,
        stdout=_stream(folder, task, attempt.number, "stdout"),
        stderr=_stream(folder, task, attempt.number, "stderr"),
        terminal=_stream(folder, task, attempt.number, "terminal"),
        log=_stream(folder, task, attempt.number, "log"),
        session=_stream(folder, task, attempt.number, "session"),
        gaps=attempt.gaps,
        lost=attempt.lost,
        swept=exited.swept if exited else (),
        error=exited.error if exited else "",
        stalled_seconds=round(attempt.stalled_for(last_at), 3),
        actions=list_deeds(attempt.actions),
        use=session_use(attempt.session),
    )


def _stream(folder: FleetFolder, task: TaskId, attempt: int, stream: Stream) -> StreamReport:
    return count_lines(folder.spool(WorkerId(task), attempt, stream))


def _totals(tasks: Sequence[TaskReport], statuses: dict[str, int], seconds: float | None) -> Totals:
    attempts = [attempt for task in tasks for attempt in task.attempts]
    return Totals(
        tasks=len(tasks),
        statuses=statuses,
        attempts=len(attempts),
        stdout=_sum([attempt.stdout for attempt in attempts]),
        stderr=_sum([attempt.stderr for attempt in attempts]),
        terminal=_sum([attempt.terminal for attempt in attempts]),
        log=_sum([attempt.log for attempt in attempts]),
        session=_sum([attempt.session for attempt in attempts]),
        gaps=sum(attempt.gaps for attempt in attempts),
        swept=sum(len(attempt.swept) for attempt in attempts),
        seconds=seconds,
        work_seconds=round(sum(attempt.seconds or 0.0 for attempt in attempts), 3),
        use=add_up(uses) if (uses := [attempt.use for attempt in attempts if attempt.use is not None]) else None,
    )


def _sum(streams: Sequence[StreamReport]) -> StreamReport:
    return StreamReport(bytes=sum(each.bytes for each in streams), lines=sum(each.lines for each in streams))


def _span(start: float, end: float | None) -> float | None:
    """Seconds, to the millisecond; the clock of the machine may have been set back meanwhile."""
    return None if end is None or not math.isfinite(end) else round(max(end - start, 0.0), 3)
