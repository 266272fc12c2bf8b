"""JSON-RPC 2.0 (https://www.jsonrpc.org/specification): requests, notifications, batches; parameters are named."""

from typing import Literal, TypeAlias

import msgspec

from protocols.event_codec import encode_any

__all__ = [
    "CallError",
    "Failure",
    "Id",
    "Notification",
    "Request",
    "Response",
    "decode_message",
    "decode_request",
    "failure",
    "success",
]

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
# Those that the specification leaves to servers.
REFUSED, OVERLOADED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = -32000, -32001, -32002, -32003, -32004
MAX_BATCH = 64
Id: TypeAlias = str | int | None


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: Id | msgspec.UnsetType = msgspec.UNSET
    """Unset in a notification: nobody waits for a response."""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says without having been asked."""

    jsonrpc: Literal["2.0"] = "2.0"
    method: str
    params: msgspec.Raw


class Failure(msgspec.Struct, frozen=True):
    code: int
    message: str


class CallError(Exception):
    """A call that is answered with an error; ``code`` as JSON-RPC has it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one of ``result`` and ``error`` is there."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: Id
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Failure | msgspec.UnsetType = msgspec.UNSET


class _Named(msgspec.Struct, frozen=True):
    id: Id = None


_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_batches: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_names: msgspec.json.Decoder[_Named] = msgspec.json.Decoder(_Named)


def decode_request(line: bytes) -> Request | Response:
    """The request, or the response that says why it is none: to the id that it has, where that can be read."""
    try:
        return _requests.decode(line)
    except msgspec.ValidationError as error:
        return failure(_id_of(line), INVALID_REQUEST, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return failure(None, PARSE_ERROR, str(error))


def decode_message(data: bytes) -> Request | Response | list[Request | Response]:
    """As `decode_request`; of a batch a list, which is never empty."""
    if not data.lstrip(b" \t\r\n").startswith(b"["):
        return decode_request(data)
    try:
        parts = _batches.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return failure(None, PARSE_ERROR, str(error))
    if not 0 < len(parts) <= MAX_BATCH:
        return failure(None, INVALID_REQUEST, f"a batch of {len(parts)} requests; it may have 1 to {MAX_BATCH}")
    return [decode_request(bytes(part)) for part in parts]


def success(request: Id, result: object) -> Response:
    return Response(id=request, result=msgspec.Raw(encode_any(result)))


def failure(request: Id, code: int, message: str) -> Response:
    return Response(id=request, error=Failure(code, message))


def _id_of(line: bytes) -> Id:
    try:
        return _names.decode(line).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
