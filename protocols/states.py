"""What the records of a run add up to: one fold for status, report, listings and displays."""

from dataclasses import dataclass, field

from protocols.accounts import Accounts
from protocols.adoption_events import WorkerLate
from protocols.attempt_view import AttemptEvent, AttemptView
from protocols.budget import BudgetEvent
from protocols.call_events import CallEvent
from protocols.command_events import CommandEvent
from protocols.events import (
    AttemptStarting,
    InstanceLinked,
    InstanceRecord,
    OwnEvent,
    Record,
    RunEnded,
    RunResumed,
    RunStarted,
    RunStopping,
    TaskStatusChanged,
    WorkerMismatch,
    WorkerOutput,
    WorkerProgress,
)
from protocols.fan_out import group_of
from protocols.fleet_events import FleetNotice, KeeperLost, KeeperStarted
from protocols.ids import RunId, TaskId, WorkerId
from protocols.kinds import Outcome, TaskStatus
from protocols.ledger import OVER
from protocols.pane import WorkerUnclaimed
from protocols.server_events import ServerEnded, ServerOther, ServerStarted
from protocols.task_events import RunRetried, TasksAdded, TasksSubmitted, TaskUnblocked
from protocols.task_output import TaskOutput
from protocols.workspace import SpaceEvent

__all__ = ["OPEN", "InstanceLink", "RunView", "TaskView"]


OPEN: tuple[TaskStatus, ...] = ("pending", "running", "retrying", "restarting")
"""What a task is before its end."""


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
    passed: int = 0
    """How many of them were begun before the run was retried: nothing follows from these any more."""

    @property
    def how_far(self) -> str:
        """Of a fan-out at work; empty for all others."""
        return "" if self.made is None or self.status in OVER else f"{self.over:,} of {len(self.made):,} items done"

    def attempt(self, number: int) -> AttemptView | None:
        """Attempts count from 1 without holes; records of unknown ones are left aside."""
        return self.attempts[number - 1] if 0 < number <= len(self.attempts) else None

    def reopen(self, at: float, seq: int) -> None:
        """It is to run once more."""
        self.status, self.reason, self.failure, self.retry_at, self.output = "pending", "", "", None, None
        self.changed_at, self.changed_seq = at, seq
        self.current = self.passed = len(self.attempts)


@dataclass(slots=True)
class InstanceLink:
    """How far the records of an instance have come up."""

    run: RunId
    last: int = 0
    """Number of the last one in its own journal."""

    def expects(self, record: Record) -> bool:
        """It comes next. Not so what came before, nor what comes behind a hole: its journal has what is missing."""
        return record.seq == self.last + 1


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
    accounts: Accounts = field(default_factory=Accounts)
    servers: dict[str, ServerStarted | ServerEnded] = field(default_factory=dict)
    """The last that was told of each."""
    links: dict[TaskId, InstanceLink] = field(default_factory=dict)
    """Of the tasks that are instances."""
    instances: dict[str, "RunView"] = field(default_factory=dict)
    """The runs of all instances below, by their paths from here."""
    last_seq: int = 0
    last_at: float | None = None

    def apply(self, record: Record) -> None:
        self.last_seq = record.seq
        self.last_at = record.event.at
        self.accounts.apply(record.event)
        match record.event:
            case InstanceRecord() as event:
                self._apply_to_instance(event)
            case InstanceLinked() as event:
                self._link(event)
            case event:
                self._apply(event)

    def counts(self) -> dict[str, int]:
        """How many tasks have which status, those with none left out."""
        counts: dict[str, int] = {}
        for task in self.tasks.values():
            counts[task.status] = counts.get(task.status, 0) + 1
        return counts

    def _apply(self, event: OwnEvent) -> None:
        match event:
            case WorkerOutput():  # most of all, so it comes first
                self._apply_to_attempt(event)
            case RunStarted():
                self.run, self.plan, self.pid, self.version = event.run, event.plan, event.pid, event.version
                self.started_at, self.epoch = event.at, 1
                self.tasks = {}
                self._take_in(event)
            case TasksSubmitted():
                self._take_in(event)
            case RunResumed():
                self.pid, self.version, self.epoch = event.pid, event.version, event.epoch
                self._forget_blocked()  # the keeper says it again
            case RunStopping():
                self.stopping = event
            case RunEnded() | RunRetried():
                self._turn(event)
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
            case (WorkerMismatch() | WorkerLate() | WorkerUnclaimed() | FleetNotice() | KeeperStarted()) | (
                ServerOther()
                | TaskUnblocked()
                | SpaceEvent()
                | InstanceLinked()
                | BudgetEvent()
                | CommandEvent()
                | CallEvent()
            ):
                pass
            case _:
                self._apply_to_attempt(event)

    def _take_in(self, event: RunStarted | TasksSubmitted) -> None:
        """Behind all others, in this order. The record of an attempt may come before this one."""
        for task in event.tasks:
            view = self.tasks.pop(task, None) or TaskView(task)
            view.role, view.timeout = event.roles.get(task, ""), event.timeouts.get(task)
            view.gives = task in event.givers
            self.tasks[task] = view

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

    def _turn(self, event: RunEnded | RunRetried) -> None:
        if isinstance(event, RunEnded):
            self.ended_at, self.outcome = event.at, event.outcome
            return
        self.ended_at = self.outcome = self.stopping = None
        for name in event.tasks:
            task = self._task(name)
            if group := group_of(name):
                self._task(group[0]).over -= task.status in OVER
            task.reopen(event.at, self.last_seq)

    def _link(self, event: InstanceLinked) -> None:
        """Another run than before begins anew."""
        task = TaskId(event.worker)
        if task not in self.links or self.links[task].run != event.run:
            self.links[task] = InstanceLink(event.run)
            self._forget_instance(task)

    def _apply_to_instance(self, record: InstanceRecord) -> None:
        link = self.links.get(TaskId(record.worker))
        if link is not None and record.numbers:
            link.last = record.numbers[0]
        view = self.instances.setdefault(record.path, RunView())
        view.apply(Record(record.numbers[-1] if record.numbers else 0, record.event))
        if isinstance(record.event, InstanceLinked):
            path = f"{record.path}/{record.event.worker}"
            if path in self.instances and self.instances[path].run != record.event.run:
                self._forget_instance(path)
        elif isinstance(record.event, TaskStatusChanged):
            self._tell_progress(record, view)

    def _tell_progress(self, record: InstanceRecord, view: "RunView") -> None:
        """How far the task that is this instance has come is how many of its tasks have."""
        *way, name = record.path.split("/")
        above = self.instances.get("/".join(way)) if way else self
        task = None if above is None else above.tasks.get(TaskId(name))
        if task is None or not task.attempts:
            return
        counts = view.counts()
        left = sum(counts.get(each, 0) for each in OPEN)
        fraction = 1 - left / len(view.tasks) if view.tasks else None
        task.attempts[-1].progress = WorkerProgress(
            at=record.at,
            worker=WorkerId(name),
            attempt=task.attempts[-1].number,
            fraction=fraction,
            label=", ".join(f"{count} {status}" for status, count in counts.items()),
        )

    def _forget_instance(self, path: str) -> None:
        self.instances = {
            each: view for each, view in self.instances.items() if each != path and not each.startswith(f"{path}/")
        }

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
