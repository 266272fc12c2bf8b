"""How a command reaches the ``callboard up`` of its state folder, or notices that there is none."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from trio_websocket import WebSocketConnection

from actors.rpc_connection import GoneError
from protocols.errors import UnreachableError
from protocols.layout import StateFolder
from protocols.port_file import PortFile
from supervisor.client import Client, connect_unix_socket, open_client
from supervisor.leaving import run_command
from supervisor.locks import is_locked
from supervisor.sweep import find_end
from supervisor.up_state import find_standing

__all__ = ["ask_port", "open_port"]

T = TypeVar("T")


def ask_port(state: Path, work: Callable[[Client], Awaitable[T]]) -> T:
    """What ``work`` returns of a client of the supervisor. Raise UnreachableError where there is none, and as it."""

    async def ask() -> T:
        async with open_port(state) as client:
            return await work(client)

    return run_command(ask)


def open_port(state: Path) -> AbstractAsyncContextManager[Client]:
    """A client of the supervisor of this state folder. Raise UnreachableError where there is none.

    One that is being restarted is waited for. Where it listens is read anew for each connection.
    """
    return open_client(f"the supervisor of {state}", partial(_connect, StateFolder(state)))


@asynccontextmanager
async def _connect(state: StateFolder) -> AsyncIterator[WebSocketConnection]:
    if not is_locked(state.up_lock):
        text = f"{state.root}: no supervisor runs here; start one with: callboard up"
        raise (GoneError if _has_ended(state.root) else UnreachableError)(text)
    file = msgspec.json.decode(state.port_file.read_bytes(), type=PortFile)
    async with connect_unix_socket(Path(file.socket))() as socket:
        yield socket


def _has_ended(state: Path) -> bool:
    """In order; one that was killed has a run without an end."""
    fleet = find_standing(state)
    return fleet is None or (fleet.folder.journal.exists() and find_end(fleet) is not None)
