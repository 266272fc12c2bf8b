"""Bytes of a worker's output as lines of text, and text made safe for a terminal."""

import codecs
import re
from typing import AnyStr

import msgspec

__all__ = ["Line", "LineSplitter", "printable", "strip_ansi"]


class Line(msgspec.Struct, frozen=True, gc=False):
    r"""One line without what ended it.

    ``partial``: more of the same line follows. ``overwritten``: it ended in a lone ``\r``, so on a
    terminal the next text replaces it, as progress bars do.
    """

    text: str
    partial: bool = False
    overwritten: bool = False


class LineSplitter:
    r"""Split output into lines; how the bytes were cut makes no difference.

    UTF-8, with U+FFFD for what is none. ``\n`` and ``\r\n`` end a line, a lone ``\r`` ends one that
    is overwritten; control characters stay. A line of more than ``max_line`` characters comes in
    parts, and no more than that is kept between two calls.
    """

    def __init__(self, max_line: int = 2048) -> None:
        self._max_line = max_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines and parts that ``data`` completes."""
        return self._take(self._decoder.decode(data))

    def finish(self) -> list[Line]:
        """Return what is left at the end of the output; the next `feed` begins a new one."""
        lines = self._take(self._decoder.decode(b"", final=True))
        rest, self._rest = self._rest, ""
        if rest:
            lines.append(Line(rest.removesuffix("\r"), overwritten=rest.endswith("\r")))
        return lines

    def _take(self, text: str) -> list[Line]:
        text = self._rest + text
        held = "\r" if text.endswith("\r") else ""  # may be the first half of \r\n
        text = text.removesuffix("\r").replace("\r\n", "\n")
        *ended, rest = text.split("\n")
        lines = self._with_overwritten(ended) if "\r" in text else self._lines(ended)
        *overwritten, rest = rest.split("\r")
        lines += self._lines(overwritten, overwritten=True)
        *parts, unfinished = self._pieces(rest)
        self._rest = unfinished.text + held
        return lines + parts

    def _with_overwritten(self, texts: list[str]) -> list[Line]:
        lines: list[Line] = []
        for text in texts:
            *overwritten, last = text.split("\r")
            lines += self._lines(overwritten, overwritten=True)
            lines += self._pieces(last)
        return lines

    def _lines(self, texts: list[str], *, overwritten: bool = False) -> list[Line]:
        if max(map(len, texts), default=0) <= self._max_line:
            return [Line(text, False, overwritten) for text in texts]
        return [piece for text in texts for piece in self._pieces(text, overwritten=overwritten)]

    def _pieces(self, text: str, *, overwritten: bool = False) -> list[Line]:
        last = max(len(text) - 1, 0) // self._max_line * self._max_line
        parts = [Line(text[at : at + self._max_line], partial=True) for at in range(0, last, self._max_line)]
        return [*parts, Line(text[last:], overwritten=overwritten)]


# ECMA-48: control sequences (colours, cursor), then control strings (titles, links, images), then
# everything else that begins with ESC. A control string without an end hides nothing but its
# introducer: all that follows would be lost otherwise. The possessive quantifiers keep it linear; they stand
# behind single characters only, as Python before 3.11.5 gets those behind groups wrong.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"
    r"|(?:\x1b[P\]X^_]|[\x90\x9d\x98\x9e\x9f])[^\x00-\x07\n\r\x18\x1a\x1b\x80-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*+[0-~]?"
)
_ANSI_BYTES = re.compile(
    rb"(?:\x1b\[|\xc2\x9b)[0-?]*+[ -/]*+[@-~]?"
    rb"|(?:\x1b[P\]X^_]|\xc2[\x90\x9d\x98\x9e\x9f])[^\x00-\x07\n\r\x18\x1a\x1b\xc2]*+"
    rb"(?:\xc2(?![\x80-\x9f])[^\x00-\x07\n\r\x18\x1a\x1b\xc2]*+)*(?:\x07|\x1b\\|\xc2\x9c)"
    rb"|\x1b[ -/]*+[0-~]?"
)


def strip_ansi(data: AnyStr) -> AnyStr:
    """Remove terminal escape sequences, in UTF-8 where ``data`` is bytes."""
    if isinstance(data, str):
        return data if "\x1b" not in data and data.isascii() else _ANSI.sub("", data)
    return data if b"\x1b" not in data and b"\xc2" not in data else _ANSI_BYTES.sub(b"", data)


_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))  # reorder what stands around them
_BREAKS = (0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029)
_SAFE: dict[int, str | None] = {
    **dict.fromkeys((*_CONTROLS, *_BIDI), None),
    **dict.fromkeys(_BREAKS, " "),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),  # surrogates cannot be encoded for output
}


def printable(text: str) -> str:
    """One line of ``text`` as a terminal may show it: nothing in it moves, colours or reorders."""
    if text.isprintable():
        return text
    return strip_ansi(text).expandtabs().translate(_SAFE)
