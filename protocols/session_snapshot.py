"""A snapshot of a session, understood."""

from dataclasses import dataclass

from protocols.opencode import Snapshot
from protocols.opencode_dialect import (
    PermissionRequest,
    QuestionRequest,
    SessionInfo,
    Status,
    StoredMessage,
    Todo,
    read_answer,
)

__all__ = ["Picture", "read_snapshot"]


@dataclass(frozen=True, slots=True)
class Picture:
    """What is None was not told."""

    status: Status
    """Idle where it is not listed."""
    messages: tuple[StoredMessage, ...]
    children: tuple[SessionInfo, ...]
    permissions: tuple[PermissionRequest, ...] | None
    questions: tuple[QuestionRequest, ...] | None
    todos: tuple[Todo, ...] | None


def read_snapshot(snapshot: Snapshot) -> Picture:
    """Raise ``msgspec.DecodeError`` where it is of a shape that nobody knows."""
    return Picture(
        read_answer(snapshot.status, Status) or Status(),
        read_answer(snapshot.messages, tuple[StoredMessage, ...]) or (),
        read_answer(snapshot.children, tuple[SessionInfo, ...]) or (),
        read_answer(snapshot.permissions, tuple[PermissionRequest, ...]),
        read_answer(snapshot.questions, tuple[QuestionRequest, ...]),
        read_answer(snapshot.todos, tuple[Todo, ...]),
    )
