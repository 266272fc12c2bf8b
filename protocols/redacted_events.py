"""Events without the secrets that they may have picked up: from what a worker printed, or an agent said."""

from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from protocols.events import Event, WorkerExited
from protocols.redaction import Redactor

__all__ = ["redact_event", "redact_exit"]

T = TypeVar("T")


def redact_event(event: Event, redactor: Redactor) -> Event:
    """The same where it holds none. Names of ours (ids, states) are left alone: without them nothing could be read."""
    return _redact(event, redactor) if redactor.patterns else event


def redact_exit(exited: WorkerExited, redactor: Redactor) -> WorkerExited:
    """For who decides what its end means, and tells others."""
    return _redact(exited, redactor) if redactor.patterns else exited


def _redact(value: T, redactor: Redactor) -> T:
    made: Any = value
    match value:
        case str():
            made = redactor.redact_text(value)
        case tuple() | list():
            parts = [_redact(each, redactor) for each in value]
            made = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        case dict():
            made = {key: _redact(each, redactor) for key, each in value.items()}
        case msgspec.Struct():
            fields = {name: _redact(getattr(value, name), redactor) for name in _texts(type(value))}
            changed = {name: each for name, each in fields.items() if each != getattr(value, name)}
            made = msgspec.structs.replace(value, **changed) if changed else value
    return made  # type: ignore[no-any-return] # of the same type


@cache
def _texts(kind: type) -> tuple[str, ...]:
    """The fields that may hold any text."""
    return tuple(name for name, hint in get_type_hints(kind).items() if _holds_text(hint))


def _holds_text(hint: Any) -> bool:
    if hint is str:
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return bool(_texts(hint))
    if get_origin(hint) in {Union, UnionType, tuple, list, dict}:
        return any(_holds_text(each) for each in get_args(hint))
    return False
