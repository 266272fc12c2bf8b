"""What an event of an OpenCode server is about: of both streams, and of older versions.

Source: opencode 1.18, recorded: ``/global/event`` wraps (``{directory, project, payload}``), ``/event`` does not. The
session is at ``properties.sessionID``; before 1.18 only in ``info`` or ``part``.
"""

from typing import Any

import msgspec

from protocols.errors import ServerError
from protocols.opencode import Envelope

__all__ = ["KNOWN_TYPES", "is_copy", "parse_envelope"]

KNOWN_TYPES = frozenset({
    *("session.created", "session.updated", "session.deleted", "session.status", "session.idle", "session.error"),
    *("session.diff", "session.compacted", "message.updated", "message.removed", "message.part.updated"),
    *("message.part.delta", "message.part.removed", "permission.asked", "permission.replied", "question.asked"),
    *("question.replied", "question.rejected", "todo.updated", "file.edited", "file.watcher.updated", "sync"),
    *("server.connected", "server.heartbeat", "server.instance.disposed", "plugin.added", "catalog.updated"),
    *("reference.updated", "integration.updated", "project.updated"),
})  # fmt: skip
"""The types that were seen. Any other is passed on as it is."""

_LONGEST = 80
_WRAPPED = b'"payload":'
_COPY = b'{"type":"sync",'


class _Copy(msgspec.Struct):
    """An ``info`` or a ``part``."""

    id: str = ""
    sessionID: str = ""  # noqa: N815 - the server's names
    parentID: str | None = None  # noqa: N815


class _Properties(msgspec.Struct):
    sessionID: str = ""  # noqa: N815
    directory: str = ""
    info: _Copy | None = None
    part: _Copy | None = None


class _Payload(msgspec.Struct):
    type: str
    id: str = ""
    properties: _Properties | None = None


class _Event(msgspec.Struct):
    """Wrapped or bare."""

    directory: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"")


_event: msgspec.json.Decoder[_Event] = msgspec.json.Decoder(_Event)
_payload: msgspec.json.Decoder[_Payload] = msgspec.json.Decoder(_Payload)


def is_copy(data: bytes) -> bool:
    """It says the same as the event before it, under the same id: a line of the server's own log (``sync``)."""
    start = data.find(_WRAPPED)
    return data.startswith(_COPY, start + len(_WRAPPED) if start >= 0 else 0)


def parse_envelope(data: bytes, at: float = 0.0, directory: str = "") -> Envelope:
    """One event that came ``at``; ``directory``: that of the stream. Raise `ServerError` where it is none."""
    try:
        event = _event.decode(data)
        text = bytes(event.payload) or data
        payload = _payload.decode(text)
    except msgspec.ValidationError:
        return _leniently(data, at, directory)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _error(data, str(exc)) from exc
    return _envelope(payload, text, at, event.directory or directory)


def _envelope(payload: _Payload, text: bytes, at: float, directory: str) -> Envelope:
    kind = payload.type
    about = payload.properties
    if about is None:
        return Envelope(payload.id, kind, directory, "", "", text, at)
    session, parent = about.sessionID, ""
    info = about.info
    if kind.startswith("session.") and info is not None:
        session = session or info.sessionID or info.id
        parent = info.parentID or ""
    elif not session:
        session = (info.sessionID if info is not None else "") or (about.part.sessionID if about.part else "")
    return Envelope(payload.id, kind, directory or about.directory, session, parent, text, at)


def _leniently(data: bytes, at: float, directory: str) -> Envelope:
    """Some field is not what it is elsewhere: take what can be understood."""
    try:
        event: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _error(data, str(exc)) from exc
    payload = event.get("payload", event) if isinstance(event, dict) else None
    if not isinstance(payload, dict) or not isinstance(payload.get("type"), str):
        raise _error(data, "it has no type")
    about = _table(payload.get("properties"))
    properties = _Properties(
        _text(about.get("sessionID")), _text(about.get("directory")), _copy(about.get("info")), _copy(about.get("part"))
    )
    text = data if payload is event else msgspec.json.encode(payload)
    typed = _Payload(payload["type"], _text(payload.get("id")), properties)
    return _envelope(typed, text, at, _text(event.get("directory")) or directory)


def _copy(value: object) -> _Copy | None:
    table = _table(value)
    names = (_text(table.get(name)) for name in ("id", "sessionID", "parentID"))
    return _Copy(*names) if table else None


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _error(data: bytes, why: str) -> ServerError:
    return ServerError(f"an event is not understood ({why}): {data[:_LONGEST]!r}", "broken")
