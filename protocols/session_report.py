"""What a source says of a session on an agent server, beside what every source says of an attempt."""

from protocols.bases import AttemptReport
from protocols.session_events import SessionEvent

__all__ = ["SessionReport"]


class SessionReport(AttemptReport, frozen=True, kw_only=True, tag="session"):
    """To be recorded as it is."""

    event: SessionEvent
