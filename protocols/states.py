"""What the records of a run add up to: one fold for status, report, listings and displays."""

from dataclasses import dataclass, field
from typing import TypeAlias, get_args

from protocols.adoption_events import WorkerAdopted, WorkerLate
from protocols.events import (
    ActorFailed,
    AttemptStarting,
    Event,
    FleetSwept,
    JournalResumed,
    KeeperLost,
    KeeperStarted,
    ProcessUnattributed,
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
    WorkerHeartbeat,
    WorkerMismatch,
    WorkerOutput,
    WorkerProgress,
    WorkerStarted,
    WorkerStopping,
    WorkerVerdict,
)
from protocols.ids import AttemptId, RunId, TaskId
from protocols.kinds import Outcome, Source, Stream, TaskStatus
from protocols.pane import WorkerPane, WorkerUnclaimed
from protocols.server_events import ServerEnded, ServerOther, ServerStarted
from protocols.session_events import SessionEvent, SessionTodos
from protocols.session_view import SessionView
from protocols.task_events import TaskUnblocked
from protocols.task_output import TaskOutput

__all__ = ["AttemptView", "RunView", "TaskView"]

_STREAMS: tuple[Stream, ...] = get_args(Stream)
_OfAttempt: TypeAlias = (
    WorkerStarted
    | WorkerAdopted
    | WorkerOutput
    | WorkerProgress
    | WorkerHeartbeat
    | WorkerVerdict
    | WorkerAction
    | WorkerStopping
    | WorkerExited
    | WorkerGap
    | WorkerPane
    | SpoolBlocked
    | SpoolResumed
    | SessionEvent
)


@dataclass(slots=True)
class AttemptView:
    """One attempt of a task's worker, as far as its records tell."""

    number: int
    id: AttemptId
    argv: tuple[str, ...]
    cwd: str
    starting_at: float
    timeout: float | None = None
    source: Source = "pipe"
    window: tuple[int, int] | None = None
    log: str = ""
    """The file that is followed."""
    prompts: tuple[str, ...] = ()
    started: WorkerStarted | None = None
    stopping: WorkerStopping | None = None
    exited: WorkerExited | None = None
    epoch: int = 1
    """Of the supervisor that follows it, or followed it to its end."""
    progress: WorkerProgress | None = None
    heartbeat: WorkerHeartbeat | None = None
    output: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(_STREAMS, 0))
    """Bytes that records cover, for each stream."""
    gap: WorkerGap | None = None
    """The last one."""
    gaps: int = 0
    lost: int = 0
    """Bytes in all gaps, as far as that is known."""
    cuts: dict[Stream, int] = field(default_factory=dict)
    """How often each spool file was cut: what was known of its bytes does not hold any more."""
    last_output_at: float | None = None
    blocked: dict[str, str] = field(default_factory=dict)
    """Why no more of a stream is taken, for each of which that is so."""
    pane: WorkerPane | None = None
    """Where it is to be seen, if that is tmux."""
    session: SessionView | None = None
    """Where it is a session on an agent server."""
    verdict: WorkerVerdict | None = None
    """The last one. Behind its end: what it was until then."""
    actions: tuple[WorkerAction, ...] = ()
    """What was done about it while it stood still, or could not be done."""
    _stalled: float = 0.0

    @property
    def is_ours(self) -> bool:
        """Its processes are ours to end: no session of somebody else's, where not even its terminal is ours."""
        borrowed = self.source == "tmux" and self.window is None
        return not borrowed or (self.pane is not None and self.pane.own)

    def apply(self, event: _OfAttempt) -> None:
        match event:
            case WorkerStarted():
                self.started = event
            case WorkerOutput():
                self.output[event.stream] = max(self.output[event.stream], event.offset + event.length)
                self.last_output_at = event.at
            case WorkerAdopted() | WorkerPane():
                self._take(event)
            case WorkerProgress():
                self.progress = event
            case WorkerHeartbeat():
                self.heartbeat = event
            case WorkerVerdict():
                self._judge(event)
            case WorkerAction():
                self.actions = (*self.actions, event)
            case WorkerStopping():
                self.stopping = event
            case WorkerExited():
                self.exited = event
                self.blocked.clear()
            case WorkerGap():
                self._note(event)
            case SpoolBlocked() | SpoolResumed():
                self._tell_blocked(event)
            case _:
                self._follow(event)

    def _follow(self, event: SessionEvent) -> None:
        self.session = self.session or SessionView()
        self.session.apply(event)
        if isinstance(event, SessionTodos):
            fraction = event.done / event.total if event.total else None
            self.progress = WorkerProgress(
                at=event.at, worker=event.worker, attempt=event.attempt, fraction=fraction, label=event.current
            )

    def _take(self, event: WorkerAdopted | WorkerPane) -> None:
        if isinstance(event, WorkerAdopted):
            self.epoch = event.epoch
        else:
            self.pane = event

    def _judge(self, verdict: WorkerVerdict) -> None:
        if self.exited is None:  # its end is the last word
            self._stalled = self.stalled_for(verdict.at)
            self.verdict = verdict

    def _tell_blocked(self, event: SpoolBlocked | SpoolResumed) -> None:
        self.blocked.pop(event.stream, None)
        if isinstance(event, SpoolBlocked):
            self.blocked[event.stream] = event.error

    def _note(self, gap: WorkerGap) -> None:
        self.gap = gap
        self.gaps += 1
        self.lost += gap.lost or 0
        if gap.cut:
            self.cuts[gap.stream] = self.cuts.get(gap.stream, 0) + 1
            self.output[gap.stream] = min(self.output[gap.stream], gap.offset)

    def stalled_for(self, now: float) -> float:
        """Seconds that it was stalled in all, until its end or until now."""
        verdict, exited = self.verdict, self.exited
        if verdict is None or verdict.state != "stalled":
            return self._stalled
        return self._stalled + max((now if exited is None else exited.ended_at) - verdict.at, 0.0)


@dataclass(slots=True)
class TaskView:
    """One task of a run. ``attempts`` are in order, the last is the current one."""

    id: TaskId
    role: str = ""
    timeout: float | None = None
    """Seconds that one attempt may take."""
    gives: bool = False
    """It is to give an output."""
    status: TaskStatus = "pending"
    reason: str = ""
    allowed: bool = False
    changed_at: float | None = None
    changed_seq: int = 0
    """The number of the record that changed it last."""
    current: int = 0
    """The attempt of which ``status`` tells; its records may come before or behind the change of status."""
    retry_at: float | None = None
    failure: str = ""
    """Why the last attempt failed behind which there was to be another one."""
    output: TaskOutput | None = None
    attempts: list[AttemptView] = field(default_factory=list)

    def attempt(self, number: int) -> AttemptView | None:
        """Attempts count from 1 without holes; records of unknown ones are left aside."""
        return self.attempts[number - 1] if 0 < number <= len(self.attempts) else None


@dataclass(slots=True)
class RunView:
    """A run as its records tell it. Feed every record in order, of the first to the last."""

    run: RunId | None = None
    plan: str = ""
    pid: int | None = None
    version: str = ""
    epoch: int = 0
    """Of its supervisor, the first of a run has 1; 0: it has not begun."""
    started_at: float | None = None
    stopping: RunStopping | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None
    tasks: dict[TaskId, TaskView] = field(default_factory=dict)
    servers: dict[str, ServerStarted | ServerEnded] = field(default_factory=dict)
    """The last that was told of each."""
    last_seq: int = 0
    last_at: float | None = None

    def apply(self, record: Record) -> None:
        self.last_seq = record.seq
        self.last_at = record.event.at
        self._apply(record.event)

    def counts(self) -> dict[str, int]:
        """How many tasks have which status, those with none left out."""
        counts: dict[str, int] = {}
        for task in self.tasks.values():
            counts[task.status] = counts.get(task.status, 0) + 1
        return counts

    def _apply(self, event: Event) -> None:
        match event:
            case WorkerOutput():  # most of all, so it comes first
                self._apply_to_attempt(event)
            case RunStarted():
                self.run, self.plan, self.pid, self.version = event.run, event.plan, event.pid, event.version
                self.started_at, self.epoch = event.at, 1
                self.tasks = {
                    task: TaskView(task, event.roles.get(task, ""), event.timeouts.get(task), task in event.givers)
                    for task in event.tasks
                }
            case RunResumed():
                self.pid, self.version, self.epoch = event.pid, event.version, event.epoch
                self._forget_blocked()  # the keeper says it again
            case RunStopping():
                self.stopping = event
            case RunEnded():
                self.ended_at, self.outcome = event.at, event.outcome
            case TaskStatusChanged():
                task = self._task(event.task)
                task.status, task.reason, task.allowed = event.status, event.reason, event.allowed
                task.retry_at, task.changed_at, task.current = event.retry_at, event.at, event.attempt
                task.changed_seq = self.last_seq
                task.failure = task.failure if event.retry_at is None else event.reason
            case TaskOutput():
                self._task(event.task).output = event
            case AttemptStarting():
                view = AttemptView(event.attempt, event.id, event.argv, event.cwd, event.at, epoch=self.epoch)
                view.timeout, view.source, view.window = event.timeout, event.source, event.window
                view.log, view.prompts = event.log, event.prompts
                self._task(TaskId(event.worker)).attempts.append(view)
            case KeeperLost():
                self._forget_blocked()  # the next keeper says it again
            case ServerStarted() | ServerEnded():
                self.servers[event.server] = event
            case (WorkerMismatch() | WorkerLate() | WorkerUnclaimed() | JournalResumed() | KeeperStarted()) | (
                ProcessUnattributed() | ActorFailed() | FleetSwept() | ServerOther() | TaskUnblocked()
            ):
                pass
            case _:
                self._apply_to_attempt(event)

    def _apply_to_attempt(self, event: _OfAttempt) -> None:
        attempt = self._task(TaskId(event.worker)).attempt(event.attempt)
        if attempt is not None:
            attempt.apply(event)

    def _forget_blocked(self) -> None:
        for task in self.tasks.values():
            for attempt in task.attempts:
                attempt.blocked.clear()

    def _task(self, task: TaskId) -> TaskView:
        return self.tasks.setdefault(task, TaskView(task))
