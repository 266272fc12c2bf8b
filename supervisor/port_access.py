"""How a command reaches the ``callboard up`` of its state folder, or notices that there is none."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import trio
from trio_websocket import WebSocketConnection

from protocols.errors import UnreachableError
from protocols.layout import StateFolder
from protocols.port_file import PortFile
from supervisor.client import Client, connect_unix_socket, open_client
from supervisor.locks import is_locked

__all__ = ["ask_port", "open_port"]

T = TypeVar("T")


def ask_port(state: Path, work: Callable[[Client], Awaitable[T]]) -> T:
    """What ``work`` returns of a client of the supervisor. Raise UnreachableError where there is none, and as it."""

    async def ask() -> T:
        async with open_port(state) as client:
            return await work(client)

    return trio.run(ask)


def open_port(state: Path) -> AbstractAsyncContextManager[Client]:
    """A client of the supervisor of this state folder. Raise UnreachableError where there is none.

    One that is being restarted is waited for. Where it listens is read anew for each connection.
    """
    return open_client(f"the supervisor of {state}", partial(_connect, StateFolder(state)))


@asynccontextmanager
async def _connect(state: StateFolder) -> AsyncIterator[WebSocketConnection]:
    if not is_locked(state.up_lock):
        raise UnreachableError(f"{state.root}: no supervisor runs here; start one with: callboard up")
    file = msgspec.json.decode(state.port_file.read_bytes(), type=PortFile)
    async with connect_unix_socket(Path(file.socket))() as socket:
        yield socket
