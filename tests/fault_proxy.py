"""A proxy on loopback that spoils connections to a server: cuts, holds, splits and doubles what the server sends.

A connection whose request is for an event stream takes the next fault of the list; all others are passed on as is, but
for those whose answer is lost.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

__all__ = ["Cut", "Double", "Fault", "FaultProxy", "Hold", "Late", "Split", "faults", "open_proxy"]

_RECEIVE = 64 * 1024


@dataclass(frozen=True)
class Cut:
    """Reset the connection after so many bytes of the answer."""

    after: int


@dataclass(frozen=True)
class Hold:
    """Half-open: after so many bytes of the answer nothing comes any more, and no end. The server is read on."""

    after: int


@dataclass(frozen=True)
class Split:
    """Send in pieces of 1 to ``most`` bytes."""

    most: int


@dataclass(frozen=True)
class Double:
    """Send each event twice."""


@dataclass(frozen=True)
class Late:
    """Send everything so many seconds later."""

    seconds: float


Fault: TypeAlias = Cut | Hold | Split | Double | Late | None


def faults(seed: int, count: int) -> list[Fault]:
    """A list that the seed decides. Those that end a connection do so within the first events of a session."""
    chance = random.Random(seed)
    makers: list[Callable[[], Fault]] = [
        lambda: Cut(chance.randrange(300, 20_000)),
        lambda: Hold(chance.randrange(300, 20_000)),
        lambda: Split(chance.randrange(1, 200)),
        Double,
        lambda: Late(chance.random() / 5),
    ]
    return [chance.choice(makers)() for _ in range(count)]


@dataclass
class FaultProxy:
    target: int
    port: int
    pending: list[Fault] = field(default_factory=list)
    seed: int = 0
    down: bool = False
    """Refuse every connection that comes."""
    lossy: float = 0.0
    """Of so many of the other connections the answer is lost: the server gets what is asked, and they are reset."""
    lie: tuple[bytes, bytes] = (b"", b"")
    """What the server says, and what of the same length is passed on instead, where nothing else is spoilt."""
    taken: list[Fault] = field(default_factory=list)
    """The faults of the streams that were opened."""
    _streams: set[trio.SocketStream] = field(default_factory=set)
    """The clients of those that are there."""
    _held: set[trio.SocketStream] = field(default_factory=set)
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hold(self) -> None:
        """The streams that are there get nothing any more, and no end."""
        self._held |= self._streams

    async def cut(self) -> None:
        """The streams that are there are reset."""
        for client in list(self._streams):
            await _reset(client)

    async def serve(self, client: trio.SocketStream) -> None:
        if self.down:
            await _reset(client)
            return
        try:
            async with client, await trio.open_tcp_stream("127.0.0.1", self.target) as server:
                request = await client.receive_some(_RECEIVE)
                fault = self._next(client, bytes(request))
                await server.send_all(request)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._upstream, client, server, nursery.cancel_scope)
                    await self._downstream(server, client, fault)
                    nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._streams.discard(client)
            self._held.discard(client)

    def _next(self, client: trio.SocketStream, request: bytes) -> Fault:
        if b"/event" not in request.partition(b"\r\n")[0]:
            return Cut(0) if self._chance.random() < self.lossy else None
        self._streams.add(client)
        self.taken.append(self.pending.pop(0) if self.pending else None)
        return self.taken[-1]

    async def _upstream(self, client: trio.SocketStream, server: trio.SocketStream, scope: trio.CancelScope) -> None:
        while data := await client.receive_some(_RECEIVE):
            await server.send_all(data)
        scope.cancel()

    async def _downstream(self, server: trio.SocketStream, client: trio.SocketStream, fault: Fault) -> None:
        sent = 0
        doubler = _Doubler()
        while data := await server.receive_some(_RECEIVE):
            match fault:
                case _ if client in self._held:
                    continue
                case None:
                    await client.send_all(data.replace(*self.lie) if self.lie[0] else data)
                case Late(seconds):
                    await trio.sleep(seconds)
                    await client.send_all(data)
                case Split(most):
                    await self._split(client, data, most)
                case Double():
                    await client.send_all(doubler.feed(data))
                case Cut(after) | Hold(after):
                    rest = max(0, after - sent)
                    await client.send_all(data[:rest])
                    sent += len(data)
                    if sent >= after and isinstance(fault, Cut):
                        await _reset(client)
                        return

        if client in self._held or (isinstance(fault, Hold) and sent >= fault.after):
            await trio.sleep_forever()

    async def _split(self, client: trio.SocketStream, data: bytes, most: int) -> None:
        client.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        while data:
            size = self._chance.randint(1, most)
            await client.send_all(data[:size])
            data = data[size:]


class _Doubler:
    """Repeats each whole chunk of a body in the chunked coding."""

    def __init__(self) -> None:
        self._head = True
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        data, self._rest = self._rest + data, b""
        found = b""
        if self._head:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return b""
            found, self._head = head + end, False
        while True:
            size, line, rest = data.partition(b"\r\n")
            length = int(size, 16) if line else 0
            if not line or len(rest) < length + 2:
                self._rest = data
                return found
            chunk = size + line + rest[: length + 2]
            found += chunk * 2 if length else chunk
            data = rest[length + 2 :]


async def _reset(client: trio.SocketStream) -> None:
    """End it by RST, as a process that dies or a middlebox does."""
    client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await trio.aclose_forcefully(client)


@asynccontextmanager
async def open_proxy(target: int, pending: Sequence[Fault] = (), seed: int = 0) -> AsyncIterator[FaultProxy]:
    """A proxy to this port of loopback."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = FaultProxy(target, listeners[0].socket.getsockname()[1], list(pending), seed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel()
