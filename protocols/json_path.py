"""Where in a JSON value something is: a small part of JSONPath (RFC 9535), read once and followed often.

``$`` is the value itself; ``.name`` and ``["name"]`` a field, ``[0]`` and ``[-1]`` an element, ``.*`` and ``[*]`` all
fields or elements, in their order. There are no filters, slices or ``..``: a program that gives JSON can give it in the
form that is wanted, and what is not there cannot run for ever.
"""

import re
from collections.abc import Iterable
from typing import TypeAlias

__all__ = ["Path", "parse_path", "select"]

Path: TypeAlias = tuple[str | int | None, ...]
"""A field, an element, or None for all of them."""

_STEP = re.compile(
    r"""\.(?P<name>[^\W\d][\w-]*) | (?P<all>\.\* | \[\s*\*\s*\]) | \[\s*(?P<index>0|-?[1-9][0-9]{0,8})\s*\]
    | \[\s*"(?P<double>[^"\\]*)"\s*\] | \[\s*'(?P<single>[^'\\]*)'\s*\]""",
    re.VERBOSE,
)


def parse_path(text: str) -> Path:
    """Where the ``$`` is left out it is meant: ``code`` is ``$.code``. Raise ValueError with what is wrong."""
    path: list[str | int | None] = []
    rest = text[1:] if text.startswith("$") else text if text.startswith("[") else f".{text}"
    while rest:
        step = _STEP.match(rest)
        if step is None:
            raise ValueError(f"no path at {rest!r}; write it like $.parts[*] or $.parts[0].name")
        path.append(_read(step))
        rest = rest[step.end() :]
    return tuple(path)


def _read(step: re.Match[str]) -> str | int | None:
    if step["all"]:
        return None
    if step["index"]:
        return int(step["index"])
    return next(name for name in (step["name"], step["double"], step["single"]) if name is not None)


def select(path: Path, value: object) -> list[object]:
    """All that is found there, in order; nothing where the path leads nowhere."""
    found = [value]
    for step in path:
        found = [child for each in found for child in _children(step, each)]
    return found


def _children(step: str | int | None, value: object) -> Iterable[object]:
    match value:
        case dict() if step is None:
            return value.values()
        case dict() if step in value:
            return (value[step],)
        case list() if step is None:
            return value
        case list() if isinstance(step, int) and -len(value) <= step < len(value):
            return (value[step],)
    return ()
