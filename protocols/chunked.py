"""HTTP's chunked coding: bytes of a connection in, bytes of the body out, all chunks of one read at once.

Source: RFC 9112, 7.1. OpenCode sends each event as a chunk of its own, and hundreds of them lie in one read.
"""

from protocols.errors import ServerError

__all__ = ["ChunkedBody", "head_of"]

_LONGEST_LINE = 1024
_MOST_HEAD = 64 * 1024


def head_of(data: bytes) -> tuple[int, dict[str, str], bytes] | None:
    """The status of a response, its header fields by their names in small letters, and what follows; None: not all
    of it is there. Raise `ServerError` where it is none."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        if len(data) > _MOST_HEAD:
            raise ServerError("the head of the answer does not end", "broken")
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, status = first.partition(" ")
    if not version.startswith("HTTP/1.") or not status[:3].isdecimal():
        raise ServerError(f"no answer of HTTP: {first[:80]!r}", "broken")
    fields = (line.partition(":") for line in lines)
    return int(status[:3]), {name.strip().lower(): value.strip() for name, _, value in fields}, rest


class ChunkedBody:
    """Feed it what follows the head."""

    def __init__(self) -> None:
        self.ended = False
        self._left = 0
        """Bytes of the chunk that has begun, with the two that end it."""
        self._rest = b""
        """The beginning of a line that tells a size."""

    def feed(self, data: bytes) -> bytes:
        """Raise `ServerError` where it is not in this coding."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        pieces: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.ended:
            if self._left:
                at = self._go_on(data, at, pieces)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._rest = data[at:]
                if len(self._rest) > _LONGEST_LINE:
                    raise _error(self._rest)
                break
            length = _length(data[at:end])
            self.ended = not length
            at, after = end + 2, end + 4 + length
            if length and after <= size:
                pieces.append(data[at : after - 2])
                at = after
            elif length:
                self._left = length + 2
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _go_on(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take what is there of the chunk that has begun; where what follows stands."""
        body = self._left - 2
        if body > 0:
            pieces.append(data[at : at + body])
        taken = min(self._left, len(data) - at)
        self._left -= taken
        return at + taken


def _length(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        if not digits.isalnum():
            raise _error(line)
        return int(b"0" + digits, 16)  # "0x5" is none then
    except ValueError as exc:
        raise _error(line) from exc


def _error(line: bytes) -> ServerError:
    return ServerError(f"no length of a chunk: {line[:40]!r}", "broken")
