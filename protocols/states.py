"""What the records of a run add up to: one fold for status, report, listings and displays."""

from dataclasses import dataclass, field

from protocols.adoption_events import WorkerLate
from protocols.attempt_view import AttemptEvent, AttemptView
from protocols.events import (
    AttemptStarting,
    Event,
    Record,
    RunEnded,
    RunResumed,
    RunStarted,
    RunStopping,
    TaskStatusChanged,
    WorkerMismatch,
    WorkerOutput,
)
from protocols.fan_out import group_of
from protocols.fleet_events import (
    ActorFailed,
    FleetSwept,
    JournalResumed,
    KeeperLost,
    KeeperStarted,
    ProcessUnattributed,
)
from protocols.ids import RunId, TaskId
from protocols.kinds import Outcome, TaskStatus
from protocols.ledger import OVER
from protocols.pane import WorkerUnclaimed
from protocols.server_events import ServerEnded, ServerOther, ServerStarted
from protocols.task_events import TasksAdded, TaskUnblocked
from protocols.task_output import TaskOutput
from protocols.workspace import SpaceEvent

__all__ = ["RunView", "TaskView"]


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
    made: tuple[TaskId, ...] | None = None
    """The tasks for the items of a fan-out, once they are known; None for others."""
    over: int = 0
    """How many of them are."""
    attempts: list[AttemptView] = field(default_factory=list)

    @property
    def how_far(self) -> str:
        """Of a fan-out at work; empty for all others."""
        return "" if self.made is None or self.status in OVER else f"{self.over:,} of {len(self.made):,} items done"

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
            case TaskStatusChanged() | TaskOutput() | TasksAdded():
                self._apply_to_task(event)
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
                ProcessUnattributed() | ActorFailed() | FleetSwept() | ServerOther() | TaskUnblocked() | SpaceEvent()
            ):
                pass
            case _:
                self._apply_to_attempt(event)

    def _apply_to_task(self, event: TaskStatusChanged | TaskOutput | TasksAdded) -> None:
        task = self._task(event.task)
        match event:
            case TaskStatusChanged():
                if group := group_of(event.task):
                    self._task(group[0]).over += (event.status in OVER) - (task.status in OVER)
                task.status, task.reason, task.allowed = event.status, event.reason, event.allowed
                task.retry_at, task.changed_at, task.current = event.retry_at, event.at, event.attempt
                task.changed_seq = self.last_seq
                task.failure = task.failure if event.retry_at is None else event.reason
            case TaskOutput():
                task.output = event
            case TasksAdded():
                self._add(event)

    def _add(self, added: TasksAdded) -> None:
        """They stand behind the one for which they are, and have its role and limits."""
        one = self._task(added.task)
        one.made = added.tasks
        news = {
            task: self._task(task) for task in added.tasks if task != added.task
        }  # the record of an attempt may come before this one
        for view in news.values():
            view.role, view.timeout, view.gives = one.role, one.timeout, one.gives
        tasks = [(task, view) for task, view in self.tasks.items() if task not in news]
        behind = [task for task, _ in tasks].index(added.task) + 1
        self.tasks = dict([*tasks[:behind], *news.items(), *tasks[behind:]])

    def _apply_to_attempt(self, event: AttemptEvent) -> None:
        attempt = self._task(TaskId(event.worker)).attempt(event.attempt)
        if attempt is not None:
            attempt.apply(event)

    def _forget_blocked(self) -> None:
        for task in self.tasks.values():
            for attempt in task.attempts:
                attempt.blocked.clear()

    def _task(self, task: TaskId) -> TaskView:
        return self.tasks.setdefault(task, TaskView(task))
