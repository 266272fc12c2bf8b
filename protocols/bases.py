"""What all events have in common, and all reports of one attempt."""

import msgspec

from protocols.ids import AttemptId, WorkerId

__all__ = ["AttemptReport", "BaseEvent", "WorkerEvent"]


class BaseEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    at: float
    """Unix time of the fact."""


class WorkerEvent(BaseEvent, frozen=True, kw_only=True):
    worker: WorkerId
    attempt: int
    """Counts from 1."""


class AttemptReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    attempt: AttemptId
