"""The payloads of OpenCode's events and answers, as far as they are of use; read leniently.

Source: opencode 1.18, ``GET /doc`` and recorded streams. Moments in them are milliseconds of Unix time.
"""

from typing import TypeAlias, TypeVar

import msgspec

__all__ = ["NewSession", "Payload", "make_message_id", "read_answer", "read_payload"]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BITS = (1 << 48) - 1

T = TypeVar("T")


class Times(msgspec.Struct, frozen=True):
    created: float = 0
    completed: float | None = None
    start: float = 0
    end: float | None = None


class ProblemData(msgspec.Struct, frozen=True, rename="camel"):
    message: str | None = None
    status_code: int | None = None
    is_retryable: bool | None = None
    response_headers: dict[str, object] | None = None
    """Of the model's provider, names in lower case."""


class Problem(msgspec.Struct, frozen=True):
    """What the server calls an error."""

    name: str = ""
    data: ProblemData | None = None

    @property
    def message(self) -> str:
        return (self.data and self.data.message) or self.name


class Cache(msgspec.Struct, frozen=True):
    read: float = 0
    write: float = 0


class Tokens(msgspec.Struct, frozen=True):
    input: float = 0
    output: float = 0
    reasoning: float = 0
    cache: Cache = Cache()


class MessageInfo(msgspec.Struct, frozen=True):
    id: str
    role: str = ""
    parent: str = msgspec.field(name="parentID", default="")
    finish: str | None = None
    """``stop``, ``tool-calls``, ``length`` …"""
    error: Problem | None = None
    time: Times = Times()
    tokens: Tokens | None = None
    cost: float | None = None


class ToolState(msgspec.Struct, frozen=True):
    status: str = ""
    """``pending``, ``running``, ``completed`` or ``error``."""
    input: dict[str, object] = {}
    output: str | None = None
    title: str | None = None
    error: str | None = None
    metadata: dict[str, object] = {}


class Part(msgspec.Struct, frozen=True):
    id: str
    message: str = msgspec.field(name="messageID", default="")
    type: str = ""
    """``text``, ``reasoning``, ``tool``, ``step-start``, ``step-finish``, ``patch`` …"""
    text: str | None = None
    synthetic: bool | None = None
    """Not of a person: put in by the server."""
    time: Times | None = None
    tool: str = ""
    call: str = msgspec.field(name="callID", default="")
    state: ToolState | None = None


class Status(msgspec.Struct, frozen=True):
    type: str = "idle"
    """``busy``, ``idle`` or ``retry``."""
    attempt: int = 0
    message: str | None = None
    next: float = 0


class SessionInfo(msgspec.Struct, frozen=True):
    id: str = ""
    parent: str | None = msgspec.field(name="parentID", default=None)
    title: str | None = None
    directory: str | None = None


class NewSession(msgspec.Struct, frozen=True):
    """The answer of ``POST /session``."""

    id: str
    directory: str = ""
    title: str = ""
    time: Times = Times()


class SessionCreated(msgspec.Struct, frozen=True):
    info: SessionInfo


class SessionUpdated(msgspec.Struct, frozen=True):
    info: SessionInfo


class SessionDeleted(msgspec.Struct, frozen=True):
    pass


class StatusChanged(msgspec.Struct, frozen=True):
    status: Status


class BecameIdle(msgspec.Struct, frozen=True):
    pass


class ErrorTold(msgspec.Struct, frozen=True):
    error: Problem | None = None


class MessageUpdated(msgspec.Struct, frozen=True):
    info: MessageInfo


class PartUpdated(msgspec.Struct, frozen=True):
    part: Part


class PartDelta(msgspec.Struct, frozen=True):
    message: str = msgspec.field(name="messageID")
    part: str = msgspec.field(name="partID")
    delta: str
    field: str = "text"


class CallRef(msgspec.Struct, frozen=True):
    call: str = msgspec.field(name="callID", default="")


class PermissionRequest(msgspec.Struct, frozen=True):
    id: str
    session: str = msgspec.field(name="sessionID")
    permission: str = ""
    patterns: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    metadata: dict[str, object] = {}
    tool: CallRef = CallRef()


class PermissionReply(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="requestID")
    reply: str = ""


class Option(msgspec.Struct, frozen=True):
    label: str = ""


class Inquiry(msgspec.Struct, frozen=True):
    question: str = ""
    options: tuple[Option, ...] = ()


class QuestionRequest(msgspec.Struct, frozen=True):
    id: str
    session: str = msgspec.field(name="sessionID")
    questions: tuple[Inquiry, ...] = ()


class QuestionReplied(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="requestID")


class QuestionRejected(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="requestID")


class Todo(msgspec.Struct, frozen=True):
    content: str = ""
    status: str = ""
    """``pending``, ``in_progress``, ``completed`` or ``cancelled``."""


class TodosUpdated(msgspec.Struct, frozen=True):
    todos: tuple[Todo, ...] = ()


class StoredMessage(msgspec.Struct, frozen=True):
    """One of ``GET /session/{id}/message``."""

    info: MessageInfo
    parts: tuple[Part, ...] = ()


Payload: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | SessionDeleted
    | StatusChanged
    | BecameIdle
    | ErrorTold
    | MessageUpdated
    | PartUpdated
    | PartDelta
    | PermissionRequest
    | PermissionReply
    | QuestionRequest
    | QuestionReplied
    | QuestionRejected
    | TodosUpdated
)
_KINDS: dict[str, type[Payload]] = {
    "session.created": SessionCreated,
    "session.updated": SessionUpdated,
    "session.deleted": SessionDeleted,
    "session.status": StatusChanged,
    "session.idle": BecameIdle,
    "session.error": ErrorTold,
    "message.updated": MessageUpdated,
    "message.part.updated": PartUpdated,
    "message.part.delta": PartDelta,
    "permission.asked": PermissionRequest,
    "permission.replied": PermissionReply,
    "question.asked": QuestionRequest,
    "question.replied": QuestionReplied,
    "question.rejected": QuestionRejected,
    "todo.updated": TodosUpdated,
}


class _Framed(msgspec.Struct, frozen=True):
    properties: msgspec.Raw


_frames = msgspec.json.Decoder(_Framed)
_decoders: dict[str, msgspec.json.Decoder[Payload]] = {
    name: msgspec.json.Decoder(kind, strict=False) for name, kind in _KINDS.items()
}


def read_payload(name: str, payload: bytes) -> Payload | None:
    """What an event of this type says; None where it is none of ours. Raise ``msgspec.DecodeError`` where it is broken
    or of a shape that nobody knows."""
    decoder = _decoders.get(name)
    return None if decoder is None else decoder.decode(_frames.decode(payload).properties)


def read_answer(data: bytes, kind: type[T]) -> T | None:
    """Part of a snapshot; None where there is none. Raise ``msgspec.DecodeError`` as `read_payload` does."""
    return msgspec.json.decode(data, type=kind, strict=False) if data else None


def make_message_id(at: float, count: int, salt: bytes) -> str:
    """The id of a message of ours. It has to sort behind those before it, as the server's own do: so ``at`` should be
    of the server's clock, where that is another one.

    ``at`` in Unix time, ``count`` of ids made in that millisecond (up to 4095), ``salt`` of 14 random bytes. Form of
    opencode's ``Identifier.ascending``: 48 bits of milliseconds * 4096 + count in hexadecimal, then 14 characters.
    """
    moment = (int(at * 1000) * 0x1000 + count) & _BITS
    return f"msg_{moment:012x}{''.join(_DIGITS[each % 62] for each in salt[:14])}"
