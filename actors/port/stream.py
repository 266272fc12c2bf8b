"""The stream under one connection of the port: what is sent comes whole or not at all, and never waits for ever."""

import os
from dataclasses import dataclass

import trio

__all__ = ["PortStream"]

_PIECE = 64 * 1024
_SHORT = 8 * 1024  # bytes
_LINGER = 1.0
_LINGER_BYTES = 4 * 1024 * 1024


@dataclass(slots=True, kw_only=True, eq=False)
class PortStream(trio.abc.Stream):
    """Once a send was cut short, by its deadline, a cancellation or the peer, part of it may be on the wire: nothing
    can be sent behind it. It and each later one raise BrokenResourceError."""

    stream: trio.abc.Stream
    patience: float
    """Seconds that the peer may take to make room for 64 KiB."""
    _unread: bytes = b""
    _gate: trio.Event | None = None
    _broken: bool = False
    _sending: bool = False
    _closed: bool = False

    def unread(self, data: bytes, *, before: trio.Event | None = None) -> None:
        """Let the next `receive_some` return ``data``, and the one behind that wait until ``before`` is set."""
        self._unread = data + self._unread
        self._gate = before

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Raise BrokenResourceError where the peer is gone, or does not read."""
        if self._broken:
            raise trio.BrokenResourceError("an earlier send was cut short")
        taken = self._send_now(data) if len(data) <= _SHORT and not self._sending else 0
        if taken == len(data):
            return
        whole, self._sending = False, True
        try:
            whole = await self._send_pieces(memoryview(data)[taken:])
        finally:
            self._broken, self._sending = self._broken or not whole, False
        if not whole:
            raise trio.BrokenResourceError("the peer does not read")

    def _send_now(self, data: bytes | bytearray | memoryview) -> int:
        """How many bytes the kernel takes while nobody waits. Most messages are short and find room: then neither a
        deadline nor a turn of the loop is needed. Whoever sends many has to wait for something else in between."""
        if not isinstance(self.stream, trio.SocketStream):
            return 0
        descriptor = self.stream.socket.fileno()
        try:
            return os.write(descriptor, data) if descriptor >= 0 else 0
        except BlockingIOError:
            return 0
        except OSError as error:
            self._broken = True
            raise trio.BrokenResourceError("the peer is gone") from error

    async def _send_pieces(self, data: memoryview) -> bool:
        """False: it took too long."""
        for start in range(0, len(data), _PIECE):
            with trio.move_on_after(self.patience) as scope:
                await self.stream.send_all(data[start : start + _PIECE])
            if scope.cancelled_caught:
                return False
        return True

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if not self._unread and self._gate is not None:
            await self._gate.wait()
        if not self._unread:
            return bytes(await self.stream.receive_some(max_bytes))
        await trio.lowlevel.checkpoint()
        data, self._unread = self._unread[:max_bytes], self._unread[max_bytes or len(self._unread) :]
        return data

    async def linger(self) -> None:
        """Before the end: take for a while what the peer still sends. Closed with that unread, the kernel would reset
        the connection, and the last answer be lost on its way. Raise BrokenResourceError where the peer is gone."""
        if self._closed:
            return
        if isinstance(self.stream, trio.abc.HalfCloseableStream):
            await self.stream.send_eof()
        left = _LINGER_BYTES
        with trio.move_on_after(_LINGER):  # then it is the peer's loss
            while left > 0 and (data := await self.stream.receive_some(_PIECE)):
                left -= len(data)

    async def aclose(self) -> None:
        self._broken = self._closed = True
        await self.stream.aclose()
