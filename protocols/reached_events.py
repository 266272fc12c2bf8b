"""What is told of workers that somebody outside has reached otherwise than with input."""

from typing import TypeAlias

from protocols.bases import WorkerEvent

__all__ = ["ReachedEvent", "WorkerResized", "WorkerSignalled"]


class WorkerSignalled(WorkerEvent, frozen=True, kw_only=True, tag="worker.signalled"):
    """Its process group has got a signal that somebody asked for."""

    signal: str
    """``SIGUSR1`` and the like."""


class WorkerResized(WorkerEvent, frozen=True, kw_only=True, tag="worker.resized"):
    """Its terminal has another size, in characters."""

    columns: int
    rows: int


ReachedEvent: TypeAlias = WorkerSignalled | WorkerResized
