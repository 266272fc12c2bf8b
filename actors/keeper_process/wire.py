"""One connection of a supervisor: lines in, lines out, descriptors beside them; no call blocks."""

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Mapping, Sequence

__all__ = ["MAX_LINE", "Peer"]

MAX_LINE = 4 * 1024 * 1024
MAX_FDS = 16
_READ_SIZE = 256 * 1024
_JOINED_SIZE = 64 * 1024  # small messages go out together
_CREDENTIALS = struct.Struct("3i")
_FDS_SPACE = socket.CMSG_SPACE(MAX_FDS * 4)


class Peer:
    """Frames one Unix stream socket.

    The kernel hands out descriptors in the order of the messages that they came with, so a message that names
    their number takes them from the front of a queue.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._partial = bytearray()
        self._fds: deque[int] = deque()
        self._out: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self.pid, self.uid, _ = _CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        """Of the process that connected."""

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """Something waits until the other side reads."""
        return bool(self._out)

    def receive(self) -> list[bytes] | None:
        """The lines that are complete now, without their ends. None: the other side is gone, or sends no line in
        ``MAX_LINE`` bytes."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_READ_SIZE, _FDS_SPACE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return []
        except OSError:
            return None
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._fds.extend(fd for (fd,) in struct.iter_unpack("i", payload))
        if not data:
            return None
        return self._split(data)

    def take_fds(self, count: int) -> list[int] | None:
        """The descriptors of the next message; the caller owns them. None: there are not that many."""
        if count > len(self._fds):
            return None
        return [self._fds.popleft() for _ in range(count)]

    def drop_strays(self) -> None:
        """Close what came with no message that named it. Call it when all lines have been handled."""
        if not self._partial:
            while self._fds:
                os.close(self._fds.popleft())

    def send(self, message: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        """Queue one message and send what goes now. ``fds`` are closed here, once they are sent or cannot be."""
        line = json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
        last = self._out[-1] if self._out else None
        if last is not None and not fds and len(last[0]) + len(line) <= _JOINED_SIZE:
            self._out[-1] = (last[0] + line, last[1])
        else:
            self._out.append((line, tuple(fds)))
        self.flush()

    def flush(self) -> None:
        """Send what goes without waiting. An error here shows as the end of `receive`."""
        while self._out:
            data, fds = self._out[0]
            try:
                sent = self._send_now(data, fds)
            except BlockingIOError:
                return
            except OSError:
                self._drop_output()
                return
            _close_all(fds)
            if sent == len(data):
                self._out.popleft()
            else:
                self._out[0] = (data[sent:], ())

    def close(self) -> None:
        self._drop_output()
        while self._fds:
            os.close(self._fds.popleft())
        self._socket.close()

    def _send_now(self, data: bytes, fds: tuple[int, ...]) -> int:
        if not fds:
            return self._socket.send(data, socket.MSG_NOSIGNAL)
        rights = struct.pack(f"{len(fds)}i", *fds)
        return self._socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], socket.MSG_NOSIGNAL)

    def _split(self, data: bytes) -> list[bytes] | None:
        head, end, rest = data.rpartition(b"\n")
        if end:
            lines = (bytes(self._partial) + head).split(b"\n")
            self._partial = bytearray(rest)
        else:
            lines = []
            self._partial += data
        too_long = len(self._partial) > MAX_LINE or any(len(line) > MAX_LINE for line in lines)
        return None if too_long else lines

    def _drop_output(self) -> None:
        while self._out:
            _close_all(self._out.popleft()[1])


def _close_all(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
