"""What is told of workers that outlived the supervisor which started them."""

from protocols.bases import WorkerEvent

__all__ = ["WorkerAdopted", "WorkerLate"]


class WorkerAdopted(WorkerEvent, frozen=True, kw_only=True, tag="worker.adopted"):
    """A worker that went on without its supervisor is followed again, each stream from where its records end."""

    epoch: int
    """Of the supervisor that follows it now."""
    pid: int


class WorkerLate(WorkerEvent, frozen=True, kw_only=True, tag="worker.late"):
    """Something was told of an attempt whose end is recorded: it is kept here, and changes nothing."""

    epoch: int
    """Of the supervisor under which the attempt ended."""
    what: str
