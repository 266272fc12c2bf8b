"""Server-sent events: bytes in, events out, however the bytes were cut; and the bytes of an event that we send.

Source: WHATWG HTML, 9.2.6 "Interpreting an event stream". Lines end with CR, LF or CRLF and with nothing else: U+2028
in a JSON text is no end of a line.
"""

from typing import NamedTuple

__all__ = ["MOST", "SseEvent", "SseParser", "TooLong", "write_sse"]

MOST = 16 * 1024 * 1024
"""Bytes of one event. OpenCode sends 200 kB and more for one part of a message, and that again at each change."""
_BOM = b"\xef\xbb\xbf"
_END = b"\n\n"
_PLAIN = b"data: "


class SseEvent(NamedTuple):
    data: bytes
    """UTF-8; its lines are joined by LF."""
    event: str = "message"
    id: str = ""
    """The last that was given, by this event or by one before it."""


class TooLong(NamedTuple):
    """An event was left out, because it is longer than so many bytes. What follows it comes as ever."""

    most: int

    def __str__(self) -> str:
        return f"an event of more than {self.most} bytes was left out"


def write_sse(data: bytes, event: str = "", id: str = "") -> bytes:  # noqa: A002 - as the field is called
    """An event with these fields. Neither ``event`` nor ``id`` has line breaks or NUL."""
    head = f"event: {event}\n" if event else ""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    return b"%bdata: %b\n\n" % ((head + f"id: {id}\n" if id else head).encode(), lines)


class SseParser:
    """Feed it what comes of one stream. What stands after the last blank line is no event yet."""

    def __init__(self, most: int = MOST) -> None:
        self.retry: int | None = None
        """Milliseconds that the server wants us to wait before we come back."""
        self.last_id = ""
        self._most = most
        self._begun = False
        self._after_cr = False
        self._rest = bytearray()
        """What no blank line has followed yet."""
        self._left_out = False
        """What comes until the next blank line belongs to an event that is too long."""

    def feed(self, data: bytes) -> list[SseEvent | TooLong]:
        """The events that are complete now."""
        if not self._begun:
            data = self._begin(data)
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        if not data:
            return []
        if _END not in data and not (data.startswith(b"\n") and self._rest.endswith(b"\n")):
            return self._keep(data)
        if self._rest:
            data = bytes(self._rest) + data
            self._rest.clear()
        if not self._left_out and (plain := self._plain(data)) is not None:
            return plain
        blocks = data.split(_END)
        rest = blocks.pop()
        if self._left_out:
            blocks[0], self._left_out = b"", False
        found: list[SseEvent | TooLong] = []
        for block in blocks:
            if len(block) > self._most:
                found.append(TooLong(self._most))
            elif block.startswith(_PLAIN) and b"\n" not in block:
                found.append(SseEvent(block[6:], "message", self.last_id))
            elif block:
                found += self._event(block)
        return found + self._keep(rest) if rest else found

    def _plain(self, data: bytes) -> list[SseEvent | TooLong] | None:
        """The same for events of a single line of data each, in a third of the time; None where others are there."""
        end = data.rfind(_END)
        ready, rest = data[:end], data[end + 2 :]
        bodies = ready[len(_PLAIN) :].split(_END + _PLAIN)
        if not ready.startswith(_PLAIN) or ready.count(b"\n") != 2 * (len(bodies) - 1) or len(ready) > self._most:
            return None
        found: list[SseEvent | TooLong] = [SseEvent(body, "message", self.last_id) for body in bodies]
        return found + self._keep(rest) if rest else found

    def _begin(self, data: bytes) -> bytes:
        """Without the byte order mark that may stand at the beginning of all."""
        data = bytes(self._rest) + data
        self._begun = not (len(data) < len(_BOM) and _BOM.startswith(data))
        self._rest[:] = b"" if self._begun else data
        if not self._begun:
            return b""
        return data.removeprefix(_BOM)

    def _with_lf(self, data: bytes) -> bytes:
        """The same with LF for each end of a line."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            if not data:
                self._after_cr = False
                return b""
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, data: bytes) -> list[SseEvent | TooLong]:
        """No event ends in ``data``."""
        self._rest += data
        if not self._left_out and len(self._rest) - self._rest.endswith(b"\n") <= self._most:
            return []
        told, self._left_out = self._left_out, True
        del self._rest[:-1]
        return [] if told else [TooLong(self._most)]

    def _event(self, block: bytes) -> list[SseEvent]:
        """Of the lines between two blank ones; none where they hold no data."""
        lines: list[bytes] = []
        name = ""
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            match field:
                case b"data":
                    lines.append(value)
                case b"event":
                    name = value.decode(errors="replace")
                case b"id" if b"\0" not in value:
                    self.last_id = value.decode(errors="replace")
                case b"retry" if value.isdigit():
                    self.retry = int(value)
                case _:
                    pass
        return [SseEvent(b"\n".join(lines), name or "message", self.last_id)] if lines else []
