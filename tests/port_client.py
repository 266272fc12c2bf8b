"""A port in this process, and clients that say whatever a test wants said."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from actors.port.access import Access
from actors.port.limits import PortLimits
from actors.port.listeners import bind_port, bind_tcp, listen
from actors.port.port import Port
from actors.port.service import App, Message, PortCounts, RpcHandler
from protocols.ids import FleetId
from protocols.peer import Peer

__all__ = ["BEARER", "SECRET", "Opened", "ask", "echo", "hello", "open_port"]

SECRET = "the-secret-of-the-admin"
BEARER = f"Authorization: Bearer {SECRET}"


async def hello(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Tells what was asked, and by whom."""
    request = await receive()
    peer: Peer | None = scope["state"]["peer"]
    text = f"{scope['method']} {scope['path']} {peer.who if peer else 'anybody'} {len(request['body'])}".encode()
    headers = [(b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


async def echo(socket: WebSocketConnection, peer: Peer) -> None:
    """Says who it talks to, then repeats what it hears."""
    await socket.send_message(peer.who)
    while True:
        await socket.send_message(await socket.get_message())


@dataclass(frozen=True, slots=True)
class Opened:
    url: str
    """Without a scheme: ``127.0.0.1:PORT``."""
    number: int
    socket: Path
    counts: PortCounts
    stop: trio.CancelScope

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.number)

    async def say(self, data: bytes) -> bytes:
        """All that is answered until the other side closes; a reset counts as that."""
        async with await self.connect() as stream:
            return await self.exchange(stream, data)

    async def say_and_end(self, data: bytes) -> bytes:
        """As `say`; the server sees the end behind ``data``."""
        async with await self.connect() as stream:
            try:
                await stream.send_all(data)
                await stream.send_eof()
            except trio.BrokenResourceError:
                pass
            return await self.exchange(stream, b"")

    @staticmethod
    async def exchange(stream: trio.abc.Stream, data: bytes) -> bytes:
        answer = bytearray()
        try:
            if data:
                await stream.send_all(data)
            while part := await stream.receive_some():
                answer += part
        except trio.BrokenResourceError:
            pass
        return bytes(answer)

    @asynccontextmanager
    async def websocket(self, *, token: str | None = SECRET) -> AsyncIterator[WebSocketConnection]:
        """The library leaves its stream open where the other side has closed: here it is closed."""
        headers = [] if token is None else [(b"Authorization", f"Bearer {token}".encode())]
        async with await self.connect() as stream, trio.open_nursery() as nursery:
            yield await wrap_client_stream(nursery, stream, "localhost", "/rpc", extra_headers=headers)
            nursery.cancel_scope.cancel()

    async def get(self, path: str = "/x", *headers: str) -> bytes:
        """The answer to a request with the admin's token."""
        return await self.say(ask("GET", path, BEARER, *headers))


def ask(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *length, *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def open_port(
    folder: Path,
    *,
    number: int = 0,
    app: App = hello,
    rpc: RpcHandler = echo,
    limits: PortLimits | None = None,
    access: Access | None = None,
    **more: Any,
) -> AsyncIterator[Opened]:
    """``number``: of the TCP port; 0: one that is free."""
    bound = [bind_tcp("127.0.0.1", number), bind_port(folder / "port.sock")]
    number = int(bound[0].getsockname()[1])
    counts = PortCounts()
    port = Port(
        listeners=listen(bound),
        app=app,
        rpc=rpc,
        access=access or Access(secret=SECRET),
        fleet=FleetId("f" * 32),
        limits=limits or PortLimits(),
        counts=counts,
        **more,
    )
    try:
        async with trio.open_nursery() as nursery:
            scope = await nursery.start(_run, port)
            yield Opened(f"127.0.0.1:{number}", number, folder / "port.sock", counts, scope)
            scope.cancel()
    finally:
        for each in port.listeners:
            each.socket.close()


async def _run(port: Port, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(port.run)
            task_status.started(scope)
