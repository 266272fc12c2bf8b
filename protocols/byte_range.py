"""The ``Range`` header of HTTP: which part of so many bytes is wanted.

Source: RFC 9110, 14.1.2 and 14.2. One range is served; several at once are answered with the whole, as is everything
that is no range of bytes.
"""

import re
from typing import NamedTuple

__all__ = ["ByteRange", "UnsatisfiableError", "parse_range"]

_ONE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.ASCII | re.IGNORECASE)
_DIGITS = 18  # more than any file has bytes; `int` refuses to read thousands of digits


class UnsatisfiableError(Exception):
    """Nothing of what is wanted is there: status 416."""


class ByteRange(NamedTuple):
    start: int
    stop: int
    """The first byte behind it."""


def parse_range(header: str, size: int) -> ByteRange | None:
    """The part of ``size`` bytes that is wanted, never empty; None for the whole. Raise `UnsatisfiableError`."""
    found = _ONE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return _last(_number(found[2]), size)
    start = _number(found[1])
    end = _number(found[2]) if found[2] else None
    if end is not None and end < start:
        return None
    if start >= size:
        raise UnsatisfiableError(f"there are {size} bytes, none at {found[1]}")
    return ByteRange(start, size if end is None else min(size, end + 1))


def _last(count: int, size: int) -> ByteRange | None:
    if not count:
        raise UnsatisfiableError("the last 0 bytes are none")
    return ByteRange(max(0, size - count), size) if size else None


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS
