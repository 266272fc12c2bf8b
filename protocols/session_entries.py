"""What a session's log holds, entry by entry: each call of its fold, so that the fold comes back by them alone."""

from typing import Any, TypeAlias

import msgspec

from protocols.ids import CommandId
from protocols.opencode import Envelope, Snapshot
from protocols.opencode_dialect import Problem
from protocols.opencode_envelope import parse_envelope
from protocols.session_events import Outcome

__all__ = [
    "Aborted",
    "Begun",
    "Entry",
    "Forsaken",
    "Happened",
    "Joined",
    "Prompted",
    "Reconciled",
    "Refused",
    "Ticked",
    "Uncertain",
    "Wanted",
]

_TEXTS = ("status", "messages", "children", "permissions", "questions", "todos")


class _Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    at: float
    """Unix time."""


class Begun(_Entry, frozen=True, kw_only=True, tag="session"):
    session: str
    server: str
    directory: str
    title: str = ""
    created: float = 0.0
    """Unix time by the clock of the server."""
    place: str = ""
    """What the pool calls the server, where it is one of ours."""


class Prompted(_Entry, frozen=True, kw_only=True, tag="prompt"):
    """Written before it is sent."""

    message: str
    text: str


class Happened(_Entry, frozen=True, kw_only=True, tag="event"):
    """An event as it came, of the session or of a child."""

    session: str = ""
    parent: str = ""
    directory: str = ""
    event: msgspec.Raw
    """``{id, type, properties}``"""

    @classmethod
    def of(cls, event: Envelope, at: float) -> "Happened":
        payload = msgspec.Raw(event.payload)
        return cls(at=at, session=event.session, parent=event.parent, directory=event.directory, event=payload)

    def envelope(self) -> Envelope:
        """Of an event that was understood when it came."""
        known = parse_envelope(bytes(self.event), self.at)
        return known._replace(directory=self.directory, session=self.session, parent=self.parent)


class Reconciled(_Entry, frozen=True, kw_only=True, tag="snapshot"):
    """What the server said when it was asked, where that was news."""

    session: str
    asked_at: float
    known: bool = True
    status: msgspec.Raw
    messages: msgspec.Raw
    children: msgspec.Raw
    permissions: msgspec.Raw
    questions: msgspec.Raw
    todos: msgspec.Raw

    @classmethod
    def of(cls, snapshot: Snapshot, at: float) -> "Reconciled":
        texts: dict[str, Any] = {name: msgspec.Raw(getattr(snapshot, name) or b"null") for name in _TEXTS}
        return cls(at=at, session=snapshot.session, asked_at=snapshot.at, known=snapshot.known, **texts)

    def snapshot(self) -> Snapshot:
        texts = {name: b"" if (text := bytes(getattr(self, name))) == b"null" else text for name in _TEXTS}
        return Snapshot(session=self.session, at=self.asked_at, known=self.known, **texts)


class Wanted(_Entry, frozen=True, kw_only=True, tag="wanted"):
    """One more prompt, from outside. Once for each ``command``."""

    command: CommandId
    text: str


class Uncertain(_Entry, frozen=True, kw_only=True, tag="gap"):
    """From here on events may be missing."""

    why: str
    restarted: bool = False


class Joined(_Entry, frozen=True, kw_only=True, tag="connected"):
    """The stream of the server is there."""

    boot: int


class Ticked(_Entry, frozen=True, kw_only=True, tag="tick"):
    """Text had waited long enough."""


class Aborted(_Entry, frozen=True, kw_only=True, tag="abort"):
    outcome: Outcome


class Refused(_Entry, frozen=True, kw_only=True, tag="refused"):
    """The server did not take the prompt."""

    error: str
    code: str = ""
    retryable: bool = False

    @classmethod
    def silently(cls, told: Problem | None, at: float) -> "Refused":
        """It accepts the prompt and does not keep it; ``told`` is the error that it told meanwhile."""
        if told is None:
            return cls(at=at, error="the server does not keep what it is sent", code="unsent", retryable=True)
        return cls(at=at, error=told.message, code=told.name)


class Forsaken(_Entry, frozen=True, kw_only=True, tag="forsaken"):
    """Nobody waits any longer for the end of the prompt."""

    why: str


Entry: TypeAlias = (
    Begun | Prompted | Happened | Reconciled | Wanted | Uncertain | Joined | Ticked | Aborted | Refused | Forsaken
)
