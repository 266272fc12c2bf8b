"""tmux's control mode: what a control client hears, and how commands are written so that they arrive as meant.

The format is described in tmux(1), "CONTROL MODE". A server says one line at a time: blocks, which are replies to
commands, between ``%begin`` and ``%end`` or ``%error``; and outside of them notifications such as ``%output``.
"""

import re
from typing import NamedTuple, TypeAlias

__all__ = ["ControlParser", "Message", "Notice", "Output", "Reply", "escape", "quote", "unescape"]

_LONGEST_LINE = 4 * 1024 * 1024  # tmux's own are some 100 KiB at most; whatever else comes is cut there
_ESCAPED = re.compile(rb"\\([0-3][0-7]{2})")
_SPECIAL = re.compile(rb"[\x00-\x1f\\]")
_SAFE = re.compile(rb"[A-Za-z0-9_./%=@,+-]+")
_UNSAFE = re.compile(rb"[^A-Za-z0-9 _./%=@,+-]")


class Reply(NamedTuple):
    """What one command gave."""

    ok: bool
    lines: tuple[bytes, ...]
    ours: bool
    """It was sent by this client, and not the command with which the client was started."""


class Output(NamedTuple):
    """Bytes that a program wrote to its pane, as it wrote them."""

    pane: bytes
    data: bytes


class Notice(NamedTuple):
    """Something else, such as ``exit`` or ``sessions-changed``."""

    name: bytes
    """Empty: a line in no such form, of a client that could not start."""
    rest: bytes


Message: TypeAlias = Reply | Output | Notice


class ControlParser:
    """Feed it what a control client prints. How the bytes are cut makes no difference, and none are an error."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._block: bytes | None = None
        """The numbers that a block began with: only the same ones end it, whatever its lines look like."""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now."""
        self._partial += data
        if b"\n" not in data:
            if len(self._partial) < _LONGEST_LINE:
                return []
            self._partial += b"\n"
        *lines, rest = bytes(self._partial).split(b"\n")
        self._partial = bytearray(rest)
        return [message for line in lines if (message := self._take(line)) is not None]

    def _take(self, line: bytes) -> Message | None:
        if self._block is not None:
            return self._take_inside(line, self._block)
        name, _, rest = line.partition(b" ")
        if name == b"%output":
            pane, _, data = rest.partition(b" ")
            return Output(pane, unescape(data))
        if name == b"%begin":
            self._block, self._lines = rest, []
            return None
        return Notice(name[1:], rest) if name.startswith(b"%") else Notice(b"", line)

    def _take_inside(self, line: bytes, block: bytes) -> Reply | None:
        end, _, rest = line.partition(b" ")
        if rest != block or end not in {b"%end", b"%error"}:
            self._lines.append(line)
            return None
        self._block = None
        return Reply(end == b"%end", tuple(self._lines), block.split(b" ")[-1] == b"1")


def unescape(data: bytes) -> bytes:
    """The bytes behind ``%output``. Each backslash there begins three octal digits; another one stays as it is."""
    data = data.replace(rb"\015\012", b"\r\n")  # most of them, and this is ten times as fast
    return _ESCAPED.sub(lambda found: bytes((int(found[1], 8),)), data) if b"\\" in data else data


def escape(data: bytes) -> bytes:
    """As tmux writes it behind ``%output``."""
    return _SPECIAL.sub(_octal, data)


def quote(argument: str | bytes) -> bytes:
    """One argument of a command on the input of a control client. Raise ``ValueError`` for a NUL: none can hold it."""
    raw = argument.encode(errors="surrogateescape") if isinstance(argument, str) else argument
    if b"\0" in raw:
        raise ValueError("an argument of a tmux command cannot hold a NUL")
    return raw if _SAFE.fullmatch(raw) else b'"' + _UNSAFE.sub(_octal, raw) + b'"'


def _octal(found: re.Match[bytes]) -> bytes:
    return b"\\%03o" % found[0][0]
