"""JSON-RPC 2.0 (https://www.jsonrpc.org/specification), as far as one request and one response need it."""

from typing import Literal, TypeAlias

import msgspec

__all__ = ["Failure", "Request", "Response", "decode_request", "failure"]

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
REFUSED = -32000  # one of those that the specification leaves to servers
Id: TypeAlias = str | int | None


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    id: Id | msgspec.UnsetType = msgspec.UNSET
    """Unset in a notification: nobody waits for a response."""


class Failure(msgspec.Struct, frozen=True):
    code: int
    message: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly one of ``result`` and ``error`` is there."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: Id
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Failure | msgspec.UnsetType = msgspec.UNSET


def decode_request(line: bytes) -> Request | Response:
    """The request, or the response that says why it is none."""
    try:
        return msgspec.json.decode(line, type=Request)
    except msgspec.ValidationError as error:
        return failure(None, INVALID_REQUEST, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return failure(None, PARSE_ERROR, str(error))


def failure(request: Id, code: int, message: str) -> Response:
    return Response(id=request, error=Failure(code, message))
