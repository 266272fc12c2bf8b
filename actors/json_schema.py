"""JSON Schema: whether a schema can be used, and what in a value it does not allow.

The library is imported where there is a schema, and nowhere else: it takes 0.2 s on two busy cores, and 7 MB.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from protocols.json_text import parse_json
from protocols.task_output import DEEPEST
from protocols.wording import quote

__all__ = ["find_violations", "may_take_long", "read_schema"]

_SHOWN = 5
_LONGEST = 400
_LONG = frozenset({"pattern", "patternProperties", "uniqueItems", "$ref", "$dynamicRef", "$recursiveRef"})
_VALUES = frozenset({"const", "default", "enum", "examples"})


def read_schema(data: bytes) -> object:
    """The schema. Raise ValueError with what is wrong with it, and where."""
    from jsonschema import SchemaError  # noqa: PLC0415

    schema = parse_json(data, DEEPEST)
    if not isinstance(schema, dict | bool):
        raise ValueError("a schema is an object; write one")
    kind = _kind(schema)
    try:
        kind.check_schema(schema, format_checker=kind.FORMAT_CHECKER)
    except SchemaError as error:
        raise ValueError(f"no schema: {error.json_path}: {_short(error.message)}") from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if (missing := _dangling(kind, schema)) is not None:
        raise ValueError(f'"$ref": {quote(missing)} is not in this file; references to other files are not followed')
    return schema


def may_take_long(schema: object) -> bool:
    """Some value of no great size may keep it busy for ever. False says that no value does; it is not deep."""
    if isinstance(schema, list):
        return any(map(may_take_long, schema))
    return isinstance(schema, dict) and (not _LONG.isdisjoint(schema) or any(map(may_take_long, schema.values())))


def find_violations(value: object, schema: object) -> tuple[str, ...]:
    """What ``schema``, which was read by `read_schema`, does not allow: ``$.steps[2].name: 5 is not of type 'string'``.

    The first few, each at the place that says most.
    """
    from jsonschema.exceptions import best_match  # noqa: PLC0415
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped] # it has no types # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    validator = _kind(schema)(schema, registry=REGISTRY)
    try:
        errors = [best_match([error]) or error for error in islice(validator.iter_errors(value), _SHOWN + 1)]
    except RecursionError:
        return ("nested too deep for its schema",)
    except (Unresolvable, re.error) as error:
        return (f"its schema cannot be used: {error}",)
    told = dict.fromkeys(f"{error.json_path}: {_short(error.message)}" for error in errors[:_SHOWN])
    return (*told, *(["and more"] if len(errors) > _SHOWN else []))


def _kind(schema: object) -> Any:
    """The class of validators of its dialect, 2020-12 where it names none. Raise ValueError for an unknown one."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415

    named = schema.get("$schema") if isinstance(schema, Mapping) else None
    if named is None:
        return Draft202012Validator
    unknown: Any = None
    kind = validators.validator_for({"$schema": named}, default=unknown) if isinstance(named, str) else unknown
    if kind is None:
        shown = quote(named) if isinstance(named, str) else msgspec.json.encode(named).decode()
        raise ValueError(f'"$schema": no known dialect {shown}; write "https://json-schema.org/draft/2020-12/schema"')
    return kind


def _dangling(kind: Any, schema: object) -> str | None:
    """A reference that leads nowhere. Not looked for where parts of the schema have addresses of their own."""
    from jsonschema_specifications import REGISTRY  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import specification_with  # noqa: PLC0415

    found = list(_keywords(schema))
    if any(key == "$id" for key, _ in found):
        return None
    dialect = specification_with(kind.META_SCHEMA["$schema"])
    resolver = REGISTRY.resolver_with_root(dialect.create_resource(schema))
    for key, reference in found:
        try:
            if key == "$ref":
                resolver.lookup(reference)
        except Unresolvable:
            return reference
    return None


def _keywords(schema: object) -> Iterator[tuple[str, str]]:
    """All ``$ref`` and ``$id`` in it. It is not deep."""
    if isinstance(schema, list):
        for each in schema:
            yield from _keywords(each)
    elif isinstance(schema, dict):
        for key, each in schema.items():
            if key in {"$ref", "$id"} and isinstance(each, str):
                yield key, each
            elif key not in _VALUES:
                yield from _keywords(each)


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"
