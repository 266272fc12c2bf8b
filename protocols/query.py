"""The query of a URL as typed parameters: what is not known, or has another form, is an error that says where."""

from collections.abc import Container, Iterable, Mapping
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
    fields: dict[str, str] = dict(given or {})
    several: dict[str, list[str]] = {}
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
            several.setdefault(name, []).extend(each for each in value.split(",") if each)
    plain = {name: _plain(name, values) for name, values in several.items()}
    return decode_fields({**fields, **plain}, kind, "query", given or (), strict=False)


def decode_fields(
    fields: Mapping[str, object], kind: type[_S], part: str, in_path: Container[str] = (), *, strict: bool = True
) -> _S:
    """``part``: of the request, where those stand that are not ``in_path``. Raise `ProblemError`."""
    try:
        return msgspec.convert(fields, kind, strict=strict)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at ")
        place = place.strip("`").removeprefix("$.")
        where = "path" if place in in_path else part
        raise ProblemError(422, what, where=f"{where} {place}".strip(), hint="correct it") from error


def _plain(name: str, values: list[str]) -> str | list[str]:
    """``workers=all`` is no list with one name."""
    return "all" if name == "workers" and values == ["all"] else values


def _unknown(name: str, known: Iterable[str]) -> ProblemError:
    names = sorted(known)
    hint = did_you_mean(name, names).strip("; ") or f"there are: {', '.join(names) or 'none'}"
    return ProblemError(422, f"no parameter {quote(name[:80])}", where="query", hint=hint)


@cache
def _lists_of(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """Of each field, whether it takes several values."""
    return {field.encode_name: _is_list(inspect.type_info(field.type)) for field in msgspec.structs.fields(kind)}


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
