"""JSON that somebody else wrote: its value, or what is wrong with it and where."""

import re
from collections.abc import Iterator

import msgspec

__all__ = ["parse_json", "without_fence"]

_FENCE = re.compile(r"\s*```[A-Za-z]*[ \t]*\r?\n(?P<inner>.*)\n[ \t]*```\s*", re.DOTALL)
_BYTE = re.compile(r" \(byte (?P<offset>[0-9]+)\)$")


def parse_json(data: bytes, deepest: int) -> object:
    """The value. Raise ValueError with what is wrong: no JSON, with line and column; or over ``deepest`` levels."""
    if not data.strip():
        raise ValueError("empty, not JSON")
    try:
        value: object = msgspec.json.decode(data)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at {_position(data, error.start)}") from error
    except msgspec.MsgspecError as error:
        raise ValueError(_describe(data, str(error))) from error
    except RecursionError as error:
        raise ValueError(_too_deep(deepest)) from error
    if _is_deeper(value, deepest):
        raise ValueError(_too_deep(deepest))
    return value


def without_fence(text: str) -> str:
    """What stands in the fence, where the whole text is one block of code in Markdown, as agents like to write it."""
    found = _FENCE.fullmatch(text)
    return text if found is None or "\n```" in f"\n{found['inner']}" else found["inner"]


def _describe(data: bytes, message: str) -> str:
    """msgspec says ``JSON is malformed: invalid character (byte 5)``, or that the data was truncated."""
    found = _BYTE.search(message)
    offset = len(data.rstrip()) if found is None else int(found["offset"])
    what = "it ends too early" if "truncated" in message else _BYTE.sub("", message).partition("malformed: ")[2]
    return f"not JSON at {_position(data, offset)}: {what or message}"


def _position(data: bytes, offset: int) -> str:
    """Columns count characters."""
    start = data.rfind(b"\n", 0, offset) + 1
    line, column = data.count(b"\n", 0, offset) + 1, len(data[start:offset].decode("utf-8", "replace")) + 1
    return f"line {line}, column {column}"


def _too_deep(deepest: int) -> str:
    return f"more than {deepest} arrays and objects in each other"


def _is_deeper(value: object, deepest: int) -> bool:
    level = [*_children([value])]
    for _ in range(deepest):
        level = [child for each in level for child in _children(each)]
        if not level:
            return False
    return bool(level)


def _children(value: object) -> Iterator[object]:
    match value:
        case dict():
            yield from (child for child in value.values() if isinstance(child, dict | list))
        case list():
            yield from (child for child in value if isinstance(child, dict | list))
