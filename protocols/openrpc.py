"""The OpenRPC document of the port (https://spec.open-rpc.org), made from the types of its methods and events.

What the server tells without being asked stands among the methods, as notifications do there: without a result, and
with ``"x-sent-by": "server"``.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec

from protocols import jsonrpc
from protocols.events import Event
from protocols.port_methods import METHODS, Method
from protocols.port_results import Ended, Lagged

__all__ = ["Records", "number_records", "openrpc_document"]

_REF = "#/components/schemas/{name}"
_VERSION = "1.0.0"  # of what is said at the port, not of callboard
_RECORD = "An event with its number in the journal of the fleet."
_ERRORS: tuple[tuple[str, int, str], ...] = (
    ("ParseError", jsonrpc.PARSE_ERROR, "It is not JSON."),
    ("InvalidRequest", jsonrpc.INVALID_REQUEST, "It is no request of JSON-RPC 2.0."),
    ("MethodNotFound", jsonrpc.METHOD_NOT_FOUND, "There is no such method."),
    ("InvalidParams", jsonrpc.INVALID_PARAMS, "The parameters do not fit; the message says where."),
    ("InternalError", jsonrpc.INTERNAL_ERROR, "An error of the supervisor, such as a file that cannot be read."),
    ("Refused", jsonrpc.REFUSED, "It is understood and will not be done; the message says why."),
    ("Overloaded", jsonrpc.OVERLOADED, "Too many calls are under way; ask again later."),
    ("Forbidden", jsonrpc.FORBIDDEN, "It takes another scope."),
    ("NotFound", jsonrpc.NOT_FOUND, "Nothing is called so; the message says what there is."),
)
_ACTS = frozenset({"Refused", "Forbidden"})
_READS = frozenset({"Forbidden", "NotFound", "InternalError"})


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """Records that a subscription wants, in order. Each comes once."""

    subscription: str
    upto: int
    """The last number that was looked at: what is missing before it was not wanted."""
    records: tuple[Event, ...]


_NOTIFICATIONS: Mapping[str, tuple[type[msgspec.Struct], str]] = {
    "events.records": (Records, "Records of a subscription."),
    "events.lagged": (Lagged, "The client was too slow for a subscription; events.read has what is missing."),
    "events.ended": (Ended, "The fleet has ended; a subscription gets nothing any more."),
}


def openrpc_document() -> dict[str, Any]:
    """Of this version of the code; it takes some ten milliseconds."""
    kinds = [each for method in METHODS.values() for each in (method.params, method.result) if each is not Any]
    kinds += [kind for kind, _ in _NOTIFICATIONS.values()]
    unique = list(dict.fromkeys(kinds))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    known = dict(zip(unique, schemas, strict=True))
    number_records(components)
    methods = [_method(method, known, components) for method in METHODS.values()]
    methods += [_notification(name, *told, components) for name, told in _NOTIFICATIONS.items()]
    return {
        "openrpc": "1.3.2",
        "info": {"title": "callboard", "version": _VERSION, "description": _ABOUT},
        "methods": methods,
        "components": {
            "schemas": dict(sorted(components.items())),
            "errors": {name: {"code": code, "message": text} for name, code, text in _ERRORS},
        },
    }


_ABOUT = (
    "JSON-RPC 2.0 over a WebSocket at /rpc: one message is one request, notification, batch or answer. Parameters are "
    "named. A connection without an Authorization header begins with the notification or request auth, whose parameter "
    "is a token. What acts is answered when its effect is in the journal."
)


def number_records(components: dict[str, Any]) -> None:
    """A record is an event with its number, all in one object. ``components`` has those of `Records` and ReadResult."""
    number = {"type": "object", "properties": {"seq": {"type": "integer", "minimum": 1}}, "required": ["seq"]}
    record = {"$ref": _REF.format(name="Record")}
    pushed = components["Records"]["properties"]["records"]
    components["Record"] = {"title": "Record", "description": _RECORD, "allOf": [number, pushed["items"]]}
    pushed["items"] = record
    components["ReadResult"]["properties"]["records"]["items"] = record


def _method(method: Method, known: Mapping[Any, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    errors = _ACTS if method.acts else _READS
    return {
        "name": method.name,
        "summary": method.summary,
        "tags": [{"name": method.name.partition(".")[0]}],
        "paramStructure": "by-name",
        "params": _params(method.params, components),
        "result": {"name": "result", "schema": known.get(method.result, {})},
        "errors": [{"$ref": f"#/components/errors/{name}"} for name, _, _ in _ERRORS if name in errors],
        "x-scope": method.need,
    }


def _notification(name: str, kind: type[msgspec.Struct], summary: str, components: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "summary": summary,
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "tags": [{"name": "events"}],
        "paramStructure": "by-name",
        "params": _params(kind, components),
        "x-sent-by": "server",
    }


def _params(kind: type[msgspec.Struct], components: Mapping[str, Any]) -> list[dict[str, Any]]:
    schema = components[kind.__name__]
    required = frozenset(schema.get("required", ()))
    return [{"name": name, "required": name in required, "schema": each} for name, each in schema["properties"].items()]
