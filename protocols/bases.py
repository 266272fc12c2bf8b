"""What all events have in common, all reports of one attempt, and all requests of a keeper."""

import msgspec

from protocols.ids import AttemptId, WorkerId

__all__ = ["AttemptReport", "BaseEvent", "KeeperRequest", "WorkerEvent"]


class BaseEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    at: float
    """Unix time of the fact."""


class WorkerEvent(BaseEvent, frozen=True, kw_only=True):
    worker: WorkerId
    attempt: int
    """Counts from 1."""


class AttemptReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    attempt: AttemptId


class KeeperRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", omit_defaults=True):
    id: int = 0
    """0 where no reply is wanted."""
