"""The query of a URL as typed parameters: what is not known, or has another form, is an error that says where."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TypeVar

import msgspec
from msgspec import inspect

from protocols.problems import ProblemError
from protocols.wording import did_you_mean, quote

__all__ = ["decode_fields", "decode_query"]

_S = TypeVar("_S", bound=msgspec.Struct)


def decode_query(
    pairs: Iterable[tuple[str, str]], kind: type[_S], given: Mapping[str, str] | None = None, more: Iterable[str] = ()
) -> _S:
    """``given``: fields that stand elsewhere, in the path say; ``more``: names that others read. A field that is a list
    takes several values, divided by commas or given several times. Raise `ProblemError`."""
    lists, left = _lists_of(kind), set(more)
    fields: dict[str, str | list[str]] = dict(given or {})
    for name, value in pairs:
        if name in left:
            continue
        if name not in lists or name in (given or {}):
            raise _unknown(name, {*lists, *left} - set(given or {}))
        if not lists[name]:
            if name in fields:
                raise ProblemError(422, f"{name} is given twice", where=f"query {name}", hint="give it once")
            fields[name] = value
        else:
            values = fields.setdefault(name, [])
            assert isinstance(values, list)
            values += [each for each in value.split(",") if each]
    return decode_fields({name: _plain(name, value) for name, value in fields.items()}, kind, "query", strict=False)


def decode_fields(fields: Mapping[str, object], kind: type[_S], part: str, *, strict: bool = True) -> _S:
    """``part`` of the request that they stand in. Raise `ProblemError`."""
    try:
        return msgspec.convert(fields, kind, strict=strict)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at ")
        place = place.strip("`").removeprefix("$.")
        raise ProblemError(422, what, where=f"{part} {place}".strip(), hint="correct it") from error


def _plain(name: str, value: str | list[str]) -> str | list[str]:
    """``workers=all`` is no list with one name."""
    return "all" if name == "workers" and value == ["all"] else value


def _unknown(name: str, known: Iterable[str]) -> ProblemError:
    names = sorted(known)
    hint = did_you_mean(name, names).strip("; ") or f"there are: {', '.join(names) or 'none'}"
    return ProblemError(422, f"no parameter {quote(name[:80])}", where="query", hint=hint)


@cache
def _lists_of(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """Of each field, whether it takes several values."""
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)
    return {field.encode_name: _is_list(field.type) for field in found.fields}


def _is_list(kind: inspect.Type) -> bool:
    match kind:
        case inspect.UnionType():
            return any(_is_list(each) for each in kind.types)
        case inspect.Metadata():
            return _is_list(kind.type)
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
            return True
        case _:
            return False
