"""The lines of a run on a terminal or in a log file: one for each change of state."""

from collections.abc import Mapping

from protocols.adoption_events import WorkerAdopted, WorkerLate
from protocols.budget import BudgetEvent
from protocols.call_events import CallEvent, call_text
from protocols.deeds import tell_deed
from protocols.durations import format_duration, format_elapsed
from protocols.events import (
    Event,
    InstanceRecord,
    Record,
    RunEnded,
    RunResumed,
    RunStarted,
    RunStopping,
    SpoolBlocked,
    SpoolResumed,
    TaskStatusChanged,
    WorkerAction,
    WorkerExited,
    WorkerGap,
    WorkerMismatch,
    WorkerStarted,
    WorkerStopping,
    WorkerVerdict,
    WorkerWarned,
)
from protocols.fleet_events import (
    ActorFailed,
    FleetSwept,
    JournalResumed,
    KeeperLost,
    KeeperStarted,
    ProcessUnattributed,
    SupervisorLeft,
)
from protocols.ids import TaskId
from protocols.lines import printable
from protocols.liveness_states import State
from protocols.pane import WorkerPane, WorkerUnclaimed
from protocols.session_plain import server_text, session_text
from protocols.sizes import format_bytes
from protocols.states import RunView
from protocols.task_events import RunRetried, TasksAdded, TasksSubmitted
from protocols.task_output import TaskOutput
from protocols.workspace import workspace_text

__all__ = ["PlainLines", "fleet_text", "format_counts", "gap_text", "worker_text"]

_COMMAND = 100
_DETECTED = 5  # tasks of which one line tells
_WAITING: frozenset[State] = frozenset(("stalled", "waiting-permission", "waiting-quota"))
_GOING_ON: frozenset[State] = frozenset(("reading", "thinking", "working", "testing", "idle"))
_ORDER = (
    *("succeeded", "failed", "timed-out", "parked", "stopped", "skipped"),
    *("running", "retrying", "restarting", "pending"),
)


def format_counts(counts: Mapping[str, int]) -> str:
    """How many tasks have which status, always in the same order; those that none has are left out."""
    return ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts.get(status)) or "no tasks"


class PlainLines:
    """Feed records, get lines without their line ends. Safe to print: no control characters of a worker.

    ``leaves``: it is somebody else's run, and Ctrl-C does nothing to it.
    """

    def __init__(self, *, leaves: bool = False) -> None:
        self.view = RunView()
        self._leaves = leaves
        self._waiting: dict[TaskId, State] = {}
        """Workers of which it was told, and not yet that they go on."""
        self._instances: dict[str, PlainLines] = {}
        """By their paths."""

    def feed(self, record: Record) -> list[str]:
        self.view.apply(record)
        event = record.event
        text = self._below(event) if isinstance(event, InstanceRecord) else self._text(event)
        return [] if text is None else [f"{self._clock(record.event.at)}  {printable(text)}"]

    def _below(self, record: InstanceRecord) -> str | None:
        """The line of an instance, with its path in front."""
        lines = self._instances.setdefault(record.path, PlainLines(leaves=True))
        event = record.event
        lines.view.apply(Record(record.numbers[-1] if record.numbers else 0, event))
        text = lines._text(event)
        if text is None:
            return None
        of_task = isinstance(event, TaskStatusChanged | TaskOutput) or getattr(event, "worker", None) is not None
        return f"{record.path}{'/' if of_task else ': '}{text}"

    def _clock(self, at: float) -> str:
        return f"{at - (self.view.started_at or at):8.1f}s"

    def _text(self, event: Event) -> str | None:
        match event:
            case RunStarted():
                return f"run {event.run}: {_count(len(event.tasks), 'task')} of {event.plan}{_detected(event)}"
            case TaskStatusChanged() if event.status != "running":
                return self._changed(event)
            case WorkerStarted():
                return None if self._is_session(event) else f"{event.worker}: {self._started(event)}"
            case RunStopping():
                return f"stopping ({event.reason}): {_how(event.grace)}{self._next_interrupt(event)}"
            case RunEnded():
                return f"run {self.view.run}: {event.outcome} ({format_counts(event.counts)})"
            case WorkerVerdict():
                return self._judged(event)
            case WorkerAction() | WorkerWarned():
                return tell_deed(event)
            case _:
                return worker_text(event) or fleet_text(event) or server_text(event) or _task_text(event)

    def _next_interrupt(self, event: RunStopping) -> str:
        if self._leaves or not event.reason.startswith("SIGINT"):
            return ""
        return "; a second Ctrl-C kills at once" if event.grace else "; a third Ctrl-C leaves at once"

    def _is_session(self, event: WorkerStarted) -> bool:
        """Its own event tells of it, and more."""
        attempt = self.view.tasks[TaskId(event.worker)].attempt(event.attempt)
        return attempt is not None and attempt.source == "session"

    def _started(self, event: WorkerStarted) -> str:
        attempt = self.view.tasks[TaskId(event.worker)].attempt(event.attempt)
        command = "" if attempt is None else " ".join(attempt.argv)
        if not event.pid and attempt is not None:
            return f"follows{_nth(event.attempt)} {attempt.log}"
        shown = command if len(command) <= _COMMAND else command[: _COMMAND - 1] + "…"
        return f"started{_nth(event.attempt)}, pid {event.pid}: {shown}"

    def _judged(self, event: WorkerVerdict) -> str | None:
        """Doubts are not told, nor that somebody doubts what was told."""
        task = TaskId(event.worker)
        if event.state in _WAITING and event.confirmed and self._waiting.get(task) != event.state:
            self._waiting[task] = event.state
            return f"{task}: {event.state}: {'; '.join(event.reasons)}"
        if event.state in _GOING_ON and task in self._waiting:
            del self._waiting[task]
            return f"{task}: goes on ({event.state})"
        return None

    def _changed(self, event: TaskStatusChanged) -> str | None:
        if event.status == "pending":  # told of only where the machine holds it up
            return f"{event.task}: {event.reason}" if event.reason else None
        text = f"{event.task}: {event.status}"
        attempts = self.view.tasks[event.task].attempts
        exited = attempts[-1].exited if attempts else None
        self._waiting.pop(event.task, None)
        if event.status == "succeeded" and exited is not None and exited.started_at is not None:
            text += f" in {format_elapsed(exited.ended_at - exited.started_at)}"
        if event.reason:
            text += f": {event.reason}"
        if event.retry_at is not None:
            pause = event.retry_at - event.at
            text += f"; attempt {event.attempt + 1} {f'in {format_elapsed(pause)}' if pause > 0 else 'at once'}"
        return text + (" (allowed)" if event.allowed and event.status in {"failed", "timed-out", "parked"} else "")


def worker_text(event: Event) -> str | None:
    """What happened to a worker beside its status; None where it is not worth a line. May hold control characters."""
    match event:
        case WorkerExited():
            count = _count(len(event.swept), "process", "es")
            return f"{event.worker}: ended {count} left behind: {', '.join(event.swept)}" if event.swept else None
        case WorkerAdopted():
            return f"{event.worker}: {f'went on meanwhile, pid {event.pid}' if event.pid else 'is followed again'}"
        case WorkerLate():
            return f"{event.worker}: told too late to change anything{_nth(event.attempt)}: {event.what}"
        case WorkerStopping() if event.reason != "stop":
            return f"{event.worker}: {event.detail or event.reason}: {_how(event.grace)}"
        case WorkerMismatch() | WorkerGap():
            return f"{event.worker}: {_mismatch_text(event) if isinstance(event, WorkerMismatch) else gap_text(event)}"
        case WorkerPane() | WorkerUnclaimed():
            return f"{event.worker}: {text}" if (text := _pane(event)) else None
        case SpoolBlocked() | SpoolResumed():
            return f"{event.worker}: {event.stream} {_spool_text(event)}"
        case _:
            said = session_text(event)
            return None if said is None else f"{getattr(event, 'worker', '')}: {said}"


def _task_text(event: Event) -> str | None:
    if isinstance(event, TasksSubmitted):
        return f"submitted: {', '.join(event.tasks)}"
    if isinstance(event, TasksAdded):
        return f"{event.task}: {_count(len(event.tasks), 'item')} of {event.source}"
    if isinstance(event, BudgetEvent):
        return event.reason
    if isinstance(event, CallEvent):
        return call_text(event)
    if not isinstance(event, TaskOutput):
        return workspace_text(event)
    return f"{event.task}: gave {format_bytes(event.bytes)} of {'JSON' if event.form == 'json' else 'text'}"


def _spool_text(event: SpoolBlocked | SpoolResumed) -> str:
    if isinstance(event, SpoolResumed):
        return "goes on"
    why = f", its spool cannot be written: {event.error}; tried each second"
    return f"waits{why if event.retried else f': {event.error}'}"


def _mismatch_text(event: WorkerMismatch) -> str:
    sizes = f"{event.written} bytes copied, {event.spooled} in the spool, {event.recorded} recorded"
    return f"MISMATCH in {event.stream}: {sizes}"


def gap_text(gap: WorkerGap) -> str:
    """What of the output of a worker is lost, and why. May hold control characters."""
    lost = "bytes" if gap.lost is None else _count(gap.lost, "byte")
    how = "are" if gap.lost != 1 else "is"
    many = "nobody knows how many " if gap.lost is None else ""
    return f"GAP in {gap.stream}: {many}{lost} {how} lost: {gap.why}"


def _again_text(event: RunResumed | RunRetried | SupervisorLeft) -> str:
    if isinstance(event, SupervisorLeft):
        what = "starts anew" if event.restart else "leaves"
        return f"the supervisor {what} ({event.reason}); the workers go on"
    if isinstance(event, RunResumed):
        return f"the run is taken up again, pid {event.pid} goes on with it"
    more = len(event.tasks) - len(event.origins)
    return f"to run again: {', '.join(event.origins)}" + (f", and {_count(more, 'task')} behind" if more else "")


def fleet_text(event: Event) -> str | None:
    """What happened to a fleet as a whole; None where it is not worth a line. May hold control characters."""
    match event:
        case RunResumed() | RunRetried() | SupervisorLeft():
            return _again_text(event)
        case KeeperLost():
            return f"the keeper (pid {event.pid}) is lost: {event.reason}"
        case KeeperStarted() if event.generation > 1 and not event.found:
            return f"a new keeper (pid {event.pid}) takes over"
        case ProcessUnattributed():
            return f"a process of no known worker: {event.pid} {event.command}; it ends with the run"
        case FleetSwept():
            ended = _count(len(event.processes), "process", "es")
            return f"ended {ended} of no known worker: {', '.join(event.processes)}"
        case ActorFailed():
            then = "not restarted" if event.restart_in is None else f"restarted in {event.restart_in:.1f} s"
            return f"internal error in {event.actor} ({then}): {event.error}"
        case JournalResumed():
            return f"the journal could not be written for {format_elapsed(event.seconds)}: {event.error}"
        case _:
            return None


def _pane(event: WorkerPane | WorkerUnclaimed) -> str:
    if isinstance(event, WorkerUnclaimed):
        return f"session {event.name} of the tmux server {event.socket} matches too; no task has it"
    if not event.adopted and not event.why:
        return ""
    where = f"pane {event.pane} of the tmux server at {event.socket}"
    if event.reading == "polling":
        return f"its {where} is read as a picture now and then: {event.why}"
    return f"its {where} is read byte for byte{': ' if event.why else ''}{event.why}"


def _how(grace: float) -> str:
    return f"TERM now, KILL after {format_duration(grace)}" if grace else "KILL now"


def _nth(attempt: int) -> str:
    return "" if attempt == 1 else f" (attempt {attempt})"


def _detected(event: RunStarted) -> str:
    """The timeouts that nobody wrote."""
    told = [
        f"; {task}: timeout {format_duration(event.timeouts[task])} (role {event.roles.get(task, '')}, detected)"
        for task in event.detected
        if task in event.timeouts
    ]
    more = f"; {len(told) - _DETECTED} more timeouts of detected roles" if len(told) > _DETECTED else ""
    return "".join(told[:_DETECTED]) + more


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"
