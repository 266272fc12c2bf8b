"""Whether output shows anything new, or only the same again, as a spinner does and a line "still running"."""

import re
from zlib import crc32

from protocols.lines import strip_ansi

__all__ = ["fingerprint", "shows_more"]

_MOST = 64  # different pieces; what shows more than a screen of them does not repeat itself
_SIZE = 4  # bytes of one piece in a fingerprint

# What makes the next text stand elsewhere than behind the last: cursor movements, erasing, a saved cursor, a reset.
_MOVES = re.compile(rb"\x1b\[[\d;?]*[A-HJKSTdf`]|\x1b[78cDEM]|[\r\b\f\v]")
# The time is no news: a date, a clock, a duration.
_TIMES = re.compile(
    rb"(?<![\d.])(?:\d{4}-\d\d-\d\d[T ]?|\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?Z?(?!\d)"
    rb"|\d+(?:\.\d+)?\s?(?:ms|s|m|h|secs?|mins?|seconds?|minutes?|hours?)(?![\w/]))"
)


def fingerprint(text: bytes, *, cut: bool) -> bytes | None:
    """What a piece of output shows, each thing once, times left aside. None where that is nothing, or a lot.

    ``cut``: it may begin in the middle of a line, which then does not count.
    """
    pieces = strip_ansi(_MOVES.sub(b"\n", text)).split(b"\n")
    different = set(pieces[1:] if cut else pieces)
    if len(different) > _MOST * _MOST:
        return None
    found = {_TIMES.sub(b"", piece).strip() for piece in different} - {b""}
    if not 0 < len(found) <= _MOST:
        return None
    return b"".join(sorted(crc32(piece).to_bytes(_SIZE, "big") for piece in found))


def shows_more(later: bytes | None, earlier: bytes | None) -> bool:
    """Whether there is something in the fingerprint of an output that was not in an earlier one. Yes, in doubt."""
    if later is None or earlier is None:
        return True
    return not _split(later) <= _split(earlier)


def _split(found: bytes) -> set[bytes]:
    return {found[at : at + _SIZE] for at in range(0, len(found), _SIZE)}
