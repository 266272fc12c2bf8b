"""What a session's log holds, entry by entry: each call of its fold, so that the fold comes back by them alone."""

from typing import TypeAlias

import msgspec

from protocols.opencode import Envelope, Snapshot

__all__ = ["Aborted", "Begun", "Entry", "Happened", "Prompted", "Reconciled", "Uncertain", "decode_log", "encode_entry"]


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


class Reconciled(_Entry, frozen=True, kw_only=True, tag="snapshot"):
    """What the server said when it was asked, where that was news."""

    session: str
    asked_at: float
    known: bool = True
    status: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    children: msgspec.Raw = msgspec.Raw()
    permissions: msgspec.Raw = msgspec.Raw()
    questions: msgspec.Raw = msgspec.Raw()
    todos: msgspec.Raw = msgspec.Raw()


class Uncertain(_Entry, frozen=True, kw_only=True, tag="gap"):
    """From here on events may be missing."""

    why: str
    restarted: bool = False


class Aborted(_Entry, frozen=True, kw_only=True, tag="abort"):
    outcome: str


class Refused(_Entry, frozen=True, kw_only=True, tag="refused"):
    """The server did not take the prompt."""

    error: str
    code: str = ""
    retryable: bool = False


class Forsaken(_Entry, frozen=True, kw_only=True, tag="forsaken"):
    """Nobody waits any longer for the end of the prompt."""

    why: str


Entry: TypeAlias = Begun | Prompted | Happened | Reconciled | Uncertain | Aborted | Refused | Forsaken


class _Identity(msgspec.Struct):
    id: str = ""
    type: str = ""


class _Log(msgspec.Struct):
    events: list[Entry]


_encoder = msgspec.json.Encoder()
_log: msgspec.json.Decoder[_Log] = msgspec.json.Decoder(_Log)
_identity: msgspec.json.Decoder[_Identity] = msgspec.json.Decoder(_Identity)


def encode_entry(entry: Entry) -> bytes:
    """One JSON object."""
    return _encoder.encode(entry)


def decode_log(data: bytes) -> list[Entry]:
    """All entries of a log. Raise ``msgspec.MsgspecError`` for what is none."""
    return _log.decode(data).events


def happened(event: Envelope, at: float) -> Happened:
    return Happened(
        at=at,
        session=event.session,
        parent=event.parent,
        directory=event.directory,
        event=msgspec.Raw(event.payload),
    )


def envelope_of(entry: Happened) -> Envelope:
    known = _identity.decode(entry.event)
    return Envelope(known.id, known.type, entry.directory, entry.session, entry.parent, bytes(entry.event))


def reconciled(snapshot: Snapshot, at: float) -> Reconciled:
    texts = {name: msgspec.Raw(getattr(snapshot, name) or b"null") for name in _TEXTS}
    return Reconciled(at=at, session=snapshot.session, asked_at=snapshot.at, known=snapshot.known, **texts)


def snapshot_of(entry: Reconciled) -> Snapshot:
    texts = {name: _text(getattr(entry, name)) for name in _TEXTS}
    return Snapshot(session=entry.session, at=entry.asked_at, known=entry.known, **texts)


_TEXTS = ("status", "messages", "children", "permissions", "questions", "todos")


def _text(raw: msgspec.Raw) -> bytes:
    text = bytes(raw)
    return b"" if text == b"null" else text
