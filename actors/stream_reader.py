"""Reads the events of one OpenCode server for as long as it lives: notices silence, comes back, never stops reading."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

import trio

from actors.session_messages import RouterInput

__all__ = ["OpenStream", "StreamReader"]

logger = logging.getLogger(__name__)

OpenStream: TypeAlias = Callable[[str | None], AbstractAsyncContextManager[AsyncIterator[bytes]]]
"""`OpenCodeClient.stream`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReader:
    """Tell ``outbox`` what the server says: `Connected`, any number of `Arrived`, `Disconnected`, and so on for ever.

    Who takes it must never wait for a session: a server whose stream nobody reads grows by megabytes a second.
    """

    open_stream: OpenStream
    outbox: trio.MemorySendChannel[RouterInput]
    directories: trio.MemoryReceiveChannel[str]
    """Each directory that is of interest, once. Only needed where the server has no stream of all of them."""
    boot: Callable[[], int] | None = None
    """The number of the server's process, from who starts it. None: somebody else does, we count what we notice."""
    patience: float = 25.0
    """Seconds without a byte after which a connection is dead: 2.5 of the server's heartbeats."""
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read until cancelled."""
        raise NotImplementedError
