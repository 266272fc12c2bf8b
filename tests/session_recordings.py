"""Recorded sessions, as calls of a fold: see `tests.record_sessions` for the rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from protocols.ids import WorkerId
from protocols.opencode import Envelope, Snapshot
from protocols.session_changes import Change, PromptEnded, Tell, Write
from protocols.session_events import SessionEvent
from protocols.session_fold import SessionFold

__all__ = ["Row", "ends", "envelope", "events", "fold", "play", "rows", "session_of", "snapshot", "text_of"]

Row: TypeAlias = dict[str, Any]
T = TypeVar("T", bound=SessionEvent)


def rows(name: str) -> list[Row]:
    path = Path(__file__).with_name("recordings") / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def session_of(recorded: Sequence[Row]) -> str:
    """The one that was prompted."""
    return str(next(row["event"]["properties"]["sessionID"] for row in recorded if "event" in row))


def fold(session: str, *, reasoning: bool = True) -> SessionFold:
    return SessionFold(session=session, worker=WorkerId("a"), attempt=1, reasoning=reasoning)


def envelope(event: Row) -> Envelope:
    properties = event["properties"]
    parent = (properties.get("info") or {}).get("parentID") or "" if event["type"].startswith("session.") else ""
    data = json.dumps(event).encode()
    return Envelope(event.get("id", ""), event["type"], "/work", properties.get("sessionID", ""), parent, data)


def snapshot(row: Row) -> Snapshot:
    def text(name: str) -> bytes:
        return json.dumps(told[name]).encode() if told[name] is not None else b""

    told = row["snapshot"]
    names = ("status", "messages", "children", "permissions", "questions", "todos")
    return Snapshot(told["session"], row["at"], told["known"], *map(text, names))


def play(into: SessionFold, row: Row) -> list[Change]:
    match row:
        case {"event": event}:
            return into.apply(envelope(event), row["at"])
        case {"prompt": message}:
            return into.prompt(message, row["text"], row["at"])
        case {"abort": _}:
            into.abort(row["at"])
            return []
        case {"restarted": _}:
            return into.miss(row["at"], restarted=True)
        case _:
            return into.reconcile(snapshot(row), row["at"])


def ends(changes: Sequence[Change]) -> list[PromptEnded]:
    return [change for change in changes if isinstance(change, PromptEnded)]


def events(changes: Sequence[Change], kind: type[T]) -> list[T]:
    return [change.event for change in changes if isinstance(change, Tell) and isinstance(change.event, kind)]


def text_of(changes: Sequence[Change]) -> str:
    return "".join(change.text for change in changes if isinstance(change, Write))
