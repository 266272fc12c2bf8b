"""Events of tasks as a whole that no attempt tells."""

from protocols.bases import BaseEvent
from protocols.ids import TaskId

__all__ = ["TaskUnblocked"]


class TaskUnblocked(BaseEvent, frozen=True, kw_only=True, tag="task.unblocked"):
    """The last that the task needed has come to its end: it starts as soon as there is a slot for it."""

    task: TaskId
    need: TaskId
    """Which came to its end last."""
    reason: str
    """How that ended, such as ``"a" succeeded``."""
