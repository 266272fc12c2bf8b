"""What goes out on one connection of the port: one message after the other, and no more than a few that wait."""

from dataclasses import dataclass, field
from typing import Protocol

import trio

__all__ = ["RpcWriter", "Socket"]

_QUEUE = 8


class Socket(Protocol):
    """What is needed of a WebSocket. Both raise an error of the transport's own where the client is gone; sending also
    where it takes nothing for too long, and nothing else can be sent then."""

    async def get_message(self) -> str | bytes: ...

    async def send_message(self, message: str | bytes) -> None: ...


@dataclass(slots=True, kw_only=True, eq=False)
class RpcWriter:
    """Most connections are idle, and most answers find nothing before them: a task and a queue of its own are made for
    the first message that has to wait."""

    socket: Socket
    nursery: trio.Nursery
    """Ends with the connection."""
    _outbox: "trio.MemorySendChannel[bytes] | None" = None
    _unsent: int = 0
    _busy: bool = False
    """A message is being sent by who wrote it."""
    _free: trio.Event = field(default_factory=trio.Event)

    async def send(self, message: bytes) -> None:
        """Return when it is in the queue. A cancellation leaves it unsent or whole."""
        outbox = self._queue()
        self._unsent += 1
        try:
            await outbox.send(message)
        except BaseException:
            self._unsent -= 1
            raise

    def send_nowait(self, message: bytes) -> None:
        """Raise ``trio.WouldBlock`` where the queue is full."""
        self._queue().send_nowait(message)
        self._unsent += 1

    async def answer(self, message: bytes) -> None:
        """As `send`; at once where nothing is before it. Then a cancellation breaks the connection."""
        if self._unsent:
            return await self.send(message)
        self._unsent, self._busy = 1, True
        try:
            await self.socket.send_message(message.decode())
        finally:
            self._unsent, self._busy = self._unsent - 1, False
            self._free.set()

    def _queue(self) -> "trio.MemorySendChannel[bytes]":
        if self._outbox is None:
            self._outbox, messages = trio.open_memory_channel[bytes](_QUEUE)
            self.nursery.start_soon(self._write, messages)
        return self._outbox

    async def _write(self, messages: "trio.MemoryReceiveChannel[bytes]") -> None:
        async for message in messages:
            while self._busy:
                self._free = trio.Event()
                await self._free.wait()
            await self.socket.send_message(message.decode())
            self._unsent -= 1
