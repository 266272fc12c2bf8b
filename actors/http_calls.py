"""A request over HTTP as a call of a method of the port, and its result as a response."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from actors.dispatcher import Dispatcher
from actors.http_answers import answer_json
from protocols.http_routes import Paging, Route, WorkerPaging
from protocols.jsonrpc import (
    FORBIDDEN,
    INVALID_PARAMS,
    NOT_FOUND,
    OVERLOADED,
    REFUSED,
    UNAUTHORIZED,
    CallError,
)
from protocols.peer import Peer
from protocols.port_methods import METHODS, Method
from protocols.problems import ProblemError
from protocols.query import decode_fields, decode_query

__all__ = ["call", "peer_of"]

_STATUS = {INVALID_PARAMS: 422, NOT_FOUND: 404, REFUSED: 409, OVERLOADED: 503, UNAUTHORIZED: 401, FORBIDDEN: 403}
_HINTS = {
    FORBIDDEN: "use a token that may do more",
    OVERLOADED: "try again in a second",
    REFUSED: "look at how it stands now",
}
_MOST_KEY = 128


def peer_of(request: Request) -> Peer:
    """Raise `ProblemError` where nobody has let it in."""
    peer = getattr(request.state, "peer", None)
    if not isinstance(peer, Peer):
        raise ProblemError(
            401,
            "there is no token",
            where="header Authorization",
            hint="send: Authorization: Bearer TOKEN",
            headers={"www-authenticate": 'Bearer realm="callboard"'},
        )
    return peer


async def call(dispatcher: Dispatcher, request: Request, route: Route) -> Response:
    """Raise `ProblemError`."""
    method = METHODS[route.calls]
    peer = peer_of(request)
    params = await _read_params(request, route, method)
    try:
        result = await dispatcher.call(method, params, peer)
    except CallError as error:
        status = _STATUS.get(error.code, 500)
        headers = {"retry-after": "1"} if status == 503 else {}
        where, hint = f"{request.method} {request.url.path}", _HINTS.get(error.code, "")
        raise ProblemError(status, str(error), where=where, hint=hint, code=error.code, headers=headers) from error
    if route.paging is not None:
        return _answer_part(request, route, result, decode_query(_own(request, route), route.paging))
    return answer_json(result, route.status, _place_of(request, route, result))


async def _read_params(request: Request, route: Route, method: Method) -> msgspec.Struct:
    given = dict(request.path_params)
    if route.verb == "GET":
        paging = _names_of(route.paging)
        return decode_query(request.query_params.multi_items(), method.params, given, paging)
    if request.query_params:
        raise ProblemError(422, "parameters of this request stand in its body", where="query", hint="send them as JSON")
    fields = await _read_body(request)
    for name in given.keys() & fields.keys():
        raise ProblemError(422, f"{name} stands in the path", where=f"body {name}", hint="leave it out of the body")
    return decode_fields({**fields, **given, **_key(request, fields)}, method.params, "body", given)


async def _read_body(request: Request) -> dict[str, object]:
    body = await request.body()
    if not body:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(
            415, f"a body of type {kind[:80] or 'unknown'}", where="header Content-Type", hint="send application/json"
        )
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except msgspec.ValidationError as error:
        raise ProblemError(422, str(error), where="body", hint="send a JSON object") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, str(error), where="body", hint="send valid JSON, in UTF-8") from error


def _key(request: Request, fields: dict[str, object]) -> dict[str, str]:
    """``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header) is a text in quotes; many leave them out."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return {}
    where = "header Idempotency-Key"
    key = key.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 0 < len(key) <= _MOST_KEY:
        raise ProblemError(422, f"a key of {len(key)} characters", where=where, hint=f"it may have 1 to {_MOST_KEY}")
    if fields.get("key", key) != key:
        raise ProblemError(422, "it is not the key of the body", where=where, hint="give one of the two")
    return {"key": key}


def _own(request: Request, route: Route) -> Iterable[tuple[str, str]]:
    names = _names_of(route.paging)
    return [(name, value) for name, value in request.query_params.multi_items() if name in names]


def _names_of(paging: type[Paging] | None) -> set[str]:
    return set() if paging is None else {field.name for field in msgspec.structs.fields(paging)}


def _answer_part(request: Request, route: Route, result: msgspec.Struct, paging: Paging) -> Response:
    """The list in the result, cut to the part that is wanted. RFC 8288 says where it goes on."""
    found = getattr(result, route.part)
    if isinstance(paging, WorkerPaging) and paging.role:
        found = tuple(each for each in found if each.role in paging.role)
    end = len(found) if paging.limit is None else paging.offset + paging.limit
    headers = {"x-total-count": str(len(found))}
    if end < len(found):
        rest = [pair for pair in request.query_params.multi_items() if pair[0] != "offset"]
        query = urlencode([*rest, ("offset", str(end))])
        headers["link"] = f'<{request.url.path}?{query}>; rel="next"'
    return answer_json(msgspec.structs.replace(result, **{route.part: found[paging.offset : end]}), headers=headers)


def _place_of(request: Request, route: Route, done: Any) -> dict[str, str]:
    """Where what was made is told: 201 a task or a run, 202 a command of the queue."""
    if route.status == 201:
        return {"location": f"{request.url.path}/{_quoted(done.task)}"}
    if route.status == 202:
        of = f"?{urlencode({'task': done.task})}" if "/" in done.task else ""
        return {"location": f"/api/commands/{_quoted(done.command)}{of}"}
    return {}


def _quoted(name: str) -> str:
    return urlencode({"": name})[1:].replace("+", "%20")
