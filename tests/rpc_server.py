"""A small JSON-RPC server on a WebSocket, for tests of clients: it answers as the test says, and may vanish."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from actors.rpc_connection import open_rpc_socket
from actors.unix_socket import bind_unix, connect_unix

__all__ = ["Method", "RefuseError", "RpcServer", "connect_to"]

Method = Callable[[Any], Awaitable[object]]


class RefuseError(Exception):
    """The answer is an error: its code and its words."""


@dataclass(slots=True)
class RpcServer:
    """``methods`` by name: from parameters to a result, which may take its time."""

    path: Path
    methods: Mapping[str, Method]
    requests: list[dict[str, Any]] = field(default_factory=list)
    """All that was asked."""
    sockets: list[tuple[WebSocketConnection, trio.SocketStream]] = field(default_factory=list)
    """That are open."""
    was_asked: trio.Event = field(default_factory=trio.Event)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until it is cancelled. Every connection breaks then without a word, as after kill -9."""
        with bind_unix(self.path) as bound:
            bound.setblocking(False)
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound))
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    nursery.start_soon(self._serve, await listener.accept())

    def asked(self, method: str) -> list[Any]:
        """The parameters of all requests of this method."""
        return [request["params"] for request in self.requests if request["method"] == method]

    async def tell(self, method: str, params: object) -> None:
        for socket, _ in list(self.sockets):
            await _send(socket, json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    async def cut(self) -> None:
        """Break every connection."""
        for _, stream in list(self.sockets):
            await stream.aclose()

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream, trio.open_nursery() as nursery:
            socket = await (await wrap_server_stream(nursery, stream)).accept()
            self.sockets.append((socket, stream))
            try:
                while True:
                    request = json.loads(await socket.get_message())
                    self.requests.append(request)
                    self.was_asked.set()
                    nursery.start_soon(self._answer, socket, request)
            except ConnectionClosed:
                nursery.cancel_scope.deadline = trio.current_time() + 2  # for its reader to answer the good-bye
            finally:
                self.sockets.remove((socket, stream))

    async def _answer(self, socket: WebSocketConnection, request: dict[str, Any]) -> None:
        try:
            outcome = {"result": await self.methods[request["method"]](request["params"])}
        except RefuseError as error:
            code, message = error.args
            outcome = {"error": {"code": code, "message": message}}
        await _send(socket, json.dumps({"jsonrpc": "2.0", "id": request["id"], **outcome}))


async def _send(socket: WebSocketConnection, text: str) -> None:
    with suppress(ConnectionClosed):
        await socket.send_message(text)


@asynccontextmanager
async def connect_to(path: Path) -> AsyncIterator[WebSocketConnection]:
    connection = connect_unix(path)
    connection.setblocking(False)
    async with open_rpc_socket(trio.SocketStream(trio.socket.from_stdlib_socket(connection)), "localhost") as socket:
        yield socket
