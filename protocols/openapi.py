"""The OpenAPI document of the port (https://spec.openapis.org/oas/v3.1.1), made from its routes and their types."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from protocols.http_routes import ROUTES, EventsQuery, OutputQuery, PublicHealth, Route
from protocols.openrpc import Records, number_records
from protocols.port_figures import Active, Stats
from protocols.port_methods import METHODS
from protocols.port_params import NoParams
from protocols.problems import MEDIA_TYPE, Problem

__all__ = ["openapi_document"]

_REF = "#/components/schemas/{name}"
_VERSION = "1.0.0"  # of what is said at the port, not of callboard
_NAME = re.compile(r"\{(\w+)\}")
_REFERRED = re.compile(re.escape(_REF.format(name="")) + r'([^"]+)"')
_ABOUT = (
    "The same as over JSON-RPC at /rpc. A request needs a token, or a cookie that a browser gets for a ticket: POST "
    "/api/tickets tells the path at which it is exchanged, once. Names of tasks may have slashes in a path, or %2F. A "
    "list in a query has commas, or is given several times."
)
_OWN: Mapping[str, tuple[type[msgspec.Struct], type[msgspec.Struct] | None]] = MappingProxyType(
    {
        "/health": (NoParams, PublicHealth),
        "/active": (NoParams, Active),
        "/stats": (NoParams, Stats),
        "/output": (OutputQuery, None),
        "/events": (EventsQuery, None),
    }
)
"""What routes take and give that call no method; None: no JSON."""
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_STREAMS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "/openapi": {"200": {"description": "The document.", "content": {"application/json": {"schema": {}}}}},
        "/output": {
            "200": {"description": "All bytes that are there.", "content": {"*/*": _BYTES}},
            "206": {"description": "The bytes that Range wants.", "content": {"*/*": _BYTES}},
            "304": {"description": "The output has come to its end and is what If-None-Match names."},
        },
        "/events": {
            "200": {
                "description": "Each event is a record; its id is a cursor. The event run tells the run, bye the end.",
                "content": {"text/event-stream": {"schema": {"$ref": _REF.format(name="Record")}}},
            }
        },
    }
)
_HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"/output": ("Range", "If-Range", "If-None-Match"), "/events": ("Last-Event-ID",)}
)


def openapi_document() -> dict[str, Any]:
    """Of this version of the code; it takes some ten milliseconds."""
    kinds = [kind for route in ROUTES for kind in (_takes(route), _gives(route), route.paging) if kind is not None]
    unique = list(dict.fromkeys([*kinds, Problem, Records]))
    _, components = msgspec.json.schema_components(unique, ref_template=_REF)
    number_records(components)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.verb.lower()] = _operation(route, components)
    return {
        "openapi": "3.1.1",
        "info": {"title": "callboard", "version": _VERSION, "description": _ABOUT},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(_reachable(paths, components))),
        },
    }


def _takes(route: Route) -> type[msgspec.Struct]:
    return METHODS[route.calls].params if route.calls in METHODS else _OWN.get(route.calls, (NoParams, None))[0]


def _gives(route: Route) -> Any:
    """A type; None where it is no JSON of a type of ours."""
    return METHODS[route.calls].result if route.calls in METHODS else _OWN.get(route.calls, (NoParams, None))[1]


def _operation(route: Route, components: Mapping[str, Any]) -> dict[str, Any]:
    method = METHODS.get(route.calls)
    fields, required = _fields(_takes(route), components)
    in_path = _NAME.findall(route.path)
    parameters = [_parameter(name, "path", fields.pop(name), required=True) for name in in_path]
    headers = [*_HEADERS.get(route.calls, ()), *(["Idempotency-Key"] if method is not None and method.acts else [])]
    parameters += [_parameter(name, "header", {"type": "string"}) for name in headers]
    found: dict[str, Any] = {
        "operationId": _name_of(route, in_path),
        "summary": route.summary or (method.summary if method is not None else ""),
        "tags": [route.path.split("/")[2] if route.path.startswith("/api/") else "health"],
        "parameters": parameters,
        "responses": {**_responses(route), "default": _content("What is wrong.", _ref(Problem), MEDIA_TYPE)},
    }
    if method is not None:
        found["x-scope"] = method.need
    if route.path == "/health":
        found["security"] = []
    if route.verb == "POST":
        found["requestBody"] = _body(fields, required - set(in_path))
    else:
        paging, _ = _fields(route.paging, components) if route.paging is not None else ({}, set())
        parameters += [_parameter(name, "query", each) for name, each in (fields | paging).items()]
    return found


def _name_of(route: Route, in_path: Iterable[str]) -> str:
    """Of its own, also where several routes call the same method."""
    alone = sum(each.calls == route.calls for each in ROUTES) == 1
    return ".".join([route.calls.strip("/"), *(() if alone else in_path)])


def _fields(kind: type[msgspec.Struct], components: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """With their schemas; and those that have to be there."""
    schema = components[kind.__name__]
    return dict(schema["properties"]), set(schema.get("required", ()))


def _parameter(name: str, place: str, schema: object, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _body(fields: Mapping[str, Any], required: set[str]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": dict(fields),
        "required": sorted(required),
        "additionalProperties": False,
    }
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _responses(route: Route) -> dict[str, Any]:
    if route.calls in _STREAMS:
        return dict(_STREAMS[route.calls])
    kind = _gives(route)
    about = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0] if isinstance(kind, type) else ""
    return {str(route.status): _content(about or "The answer.", _ref(kind), "application/json")}


def _content(description: str, schema: object, kind: str) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _ref(kind: Any) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _reachable(paths: object, components: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas to which something refers."""
    left, seen = _referred(paths), set[str]()
    while left:
        seen |= left
        left = {name for each in left for name in _referred(components[each])} - seen
    yield from ((name, components[name]) for name in seen)


def _referred(value: object) -> set[str]:
    return set(_REFERRED.findall(msgspec.json.encode(value).decode()))
