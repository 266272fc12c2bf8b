"""Events of tasks as a whole that no attempt tells."""

from typing import TypeAlias

from protocols.bases import BaseEvent
from protocols.ids import TaskId

__all__ = ["RunRetried", "TaskEvent", "TaskUnblocked", "TasksAdded", "TasksSubmitted"]


class RunRetried(BaseEvent, frozen=True, kw_only=True, tag="run.retried"):
    """The run had ended, and somebody wants some of its tasks again. They wait as if they had never begun; only their
    attempts go on in number. All others are over as they were."""

    origins: tuple[TaskId, ...]
    """What was asked for."""
    tasks: tuple[TaskId, ...]
    """That, and what depends on it where that is wanted too."""


class TaskUnblocked(BaseEvent, frozen=True, kw_only=True, tag="subtask.unblocked"):
    """The last that the task needed has come to its end: it starts as soon as there is a slot for it."""

    task: TaskId
    need: TaskId
    """Which came to its end last."""
    reason: str
    """How that ended, such as ``"a" succeeded``."""


class TasksAdded(BaseEvent, frozen=True, kw_only=True, tag="tasks.added"):
    """One task for each item of what ``source`` gave, be it none. Comes once, before anything else is told of them."""

    task: TaskId
    """For which they stand: what is said of it holds for all of them, and it ends when they have."""
    source: TaskId
    tasks: tuple[TaskId, ...]


class TasksSubmitted(BaseEvent, frozen=True, kw_only=True, tag="tasks.submitted"):
    """A standing fleet has these tasks too from now on. What else is said is meant as in ``run.started``."""

    tasks: tuple[TaskId, ...]
    roles: dict[TaskId, str] = {}  # noqa: RUF012 - msgspec copies it
    timeouts: dict[TaskId, float] = {}  # noqa: RUF012
    """Seconds."""
    givers: tuple[TaskId, ...] = ()
    key: str = ""
    """Of the call that asked for them (`protocols.call_events`)."""


TaskEvent: TypeAlias = RunRetried | TasksAdded | TasksSubmitted | TaskUnblocked
