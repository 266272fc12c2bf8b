"""The last lines of what a worker printed, over both of its streams in the order in which they grew."""

import codecs
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias
from unicodedata import east_asian_width

from protocols.board import OutputRange
from protocols.kinds import Stream
from protocols.lines import printable

__all__ = ["LONGEST", "TAIL", "Read", "last_lines"]

TAIL = 4096
"""How many bytes are looked at to find a line."""
LONGEST = TAIL // 2
"""A line of fewer bytes than this is always found as a whole."""

_LOOKED = 16 * 1024  # bytes that are looked at for lines of one worker, in parts of LONGEST
_CHARACTERS = 3  # for each column: one and two marks on it
_MARGIN = 8  # cells that whoever draws needs for other things
_CONTINUATION = bytes(range(0x80, 0xC0))

Read: TypeAlias = Callable[[Stream, int], bytes]
"""The bytes of a stream that end at an offset: `TAIL` of them, or all there are; none where they cannot be had."""


class _Part(NamedTuple):
    """A part of a range, short enough for its lines to be found in the `TAIL` bytes that end where it ends."""

    stream: Stream
    start: int
    end: int
    last: bool
    """Nothing of this stream comes after it."""


def last_lines(ranges: Sequence[OutputRange], read: Read, *, most: int, columns: int) -> tuple[str, ...]:
    r"""At most ``most`` lines, oldest first, with no control character in them and no empty one among them.

    ``ranges``: the end of the output, oldest first. A line stands where its ``\n`` stands, the unfinished one of a
    stream at the end of its last range. Of what a lone ``\r`` overwrites only the last is shown. Of a line that is
    longer than we look there is its end, behind a mark. ``columns``: of the screen; what no row could show is cut off.
    Costs some microseconds for each line, and has a bound whatever the worker prints; lines are left out rather than
    looked for without end, but never from between two that are shown.
    """
    found: list[str] = []
    looked = 0
    for part in _parts(ranges):
        if len(found) >= most or looked >= _LOOKED:
            break
        looked += part.end - part.start
        found += _lines(part, read(part.stream, part.end), most - len(found), columns)
    return tuple(reversed(found))


def _parts(ranges: Sequence[OutputRange]) -> Iterator[_Part]:
    """The newest first."""
    seen: set[Stream] = set()
    for stream, start, end in reversed(ranges):
        below = end
        while below > start:
            begin = max(start, below - LONGEST)
            yield _Part(stream, begin, below, stream not in seen)
            seen.add(stream)
            below = begin


def _lines(part: _Part, data: bytes, most: int, columns: int) -> list[str]:
    """The last lines that end in this part, the newest first."""
    first = part.end - len(data)
    ends = data.count(b"\n", max(part.start - first, 0))
    *ended, unfinished = data.rsplit(b"\n", ends + 1)
    cut = first > 0 and len(ended) == ends  # no line starts in the data before the first that ends in the part
    if len(ended) > ends:
        del ended[0]
    found: list[str] = []
    if part.last and (text := _shown(unfinished, columns, cut=cut and not ended, final=False)):
        found.append(text)
    for index in range(len(ended) - 1, -1, -1):
        if len(found) >= most:
            break
        if text := _shown(ended[index], columns, cut=cut and index == 0, final=True):
            found.append(text)
    return found


def _shown(line: bytes, columns: int, *, cut: bool, final: bool) -> str:
    """What of a line is to be seen; empty where there is nothing. ``cut``: its start is missing."""
    if cut:
        line = line.lstrip(_CONTINUATION)
    pieces = codecs.getincrementaldecoder("utf-8")("replace").decode(line, final).split("\r")
    for index in range(len(pieces) - 1, -1, -1):
        text = printable(pieces[index])
        if text and not text.isspace():
            return _end(text, columns - _MARGIN) if cut and index == 0 else text[: columns * _CHARACTERS].rstrip()
    return ""


def _end(text: str, cells: int) -> str:
    """A mark and the last characters, in about so many cells."""
    start, room = len(text), cells - 1
    while start > 0 and room > 0:
        start -= 1
        room -= 2 if east_asian_width(text[start]) in "WF" else 1
    return "…" + text[start if room >= 0 else start + 1 :]
