"""Gives each event of an OpenCode server to the session that it is about, and holds up nobody for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import trio

from actors.server_log import ServerLog
from actors.session_messages import (
    Arrived,
    Connected,
    Disconnected,
    Look,
    Reconcile,
    Register,
    RouterInput,
    Unregister,
)
from actors.session_routes import RouterCounts, Routes
from protocols.opencode import Snapshot

__all__ = ["SessionRouter"]

_FILE = "server-events.jsonl"
_AT_A_TIME = 64  # messages between two looks at the clock of trio: others want to run too


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRouter:
    """Sessions register; from then on their inboxes get what is about them and about their children.

    It never waits for a session, for the disk or for the reconciler, so the reader never waits for it.
    """

    inbox: trio.MemoryReceiveChannel[RouterInput]
    looks: trio.MemorySendChannel[Look]
    """To the reconciler, whose snapshots come into the inbox."""
    directories: trio.MemorySendChannel[str]
    """To the reader."""
    folder: Path
    """Where ``server-events.jsonl`` is, with the events that are about nobody's session."""
    limiter: trio.CapacityLimiter
    """For the threads that write it."""
    every: float = 30.0
    """Seconds between two looks at each session."""
    counts: RouterCounts = field(default_factory=RouterCounts)
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Route until the last sender is gone."""
        log = ServerLog(path=self.folder / _FILE, limiter=self.limiter)
        async with trio.open_nursery() as nursery:
            routes = Routes(log=log, counts=self.counts, nursery=nursery, now=self.now)
            nursery.start_soon(log.run)
            nursery.start_soon(self._ask, routes)
            nursery.start_soon(self._announce, routes)
            nursery.start_soon(self._doubt, routes)
            task_status.started()
            try:
                await self._route(routes)
            finally:
                routes.close()
            nursery.cancel_scope.cancel(reason="nobody tells anything any more")

    async def _route(self, routes: Routes) -> None:
        async for message in self.inbox:
            _take(routes, message)
            try:
                for _ in range(_AT_A_TIME):
                    _take(routes, self.inbox.receive_nowait())
            except trio.WouldBlock:
                continue
            except trio.EndOfChannel:
                return

    async def _ask(self, routes: Routes) -> None:
        """While the reconciler has something to do, wishes for the same directory become one."""
        while True:
            await self.looks.send(await routes.next_look())

    async def _announce(self, routes: Routes) -> None:
        while True:
            await self.directories.send(await routes.next_directory())

    async def _doubt(self, routes: Routes) -> None:
        while True:
            await trio.sleep(self.every)
            routes.doubt()


def _take(routes: Routes, message: RouterInput) -> None:
    match message:
        case Arrived():
            routes.arrived(message)
        case Register():
            routes.register(message)
        case Unregister(session):
            routes.unregister(session)
        case Reconcile(session):
            routes.reconcile(session)
        case Connected():
            routes.connected(message)
        case Disconnected():
            routes.disconnected(message)
        case Snapshot():
            routes.snapshot(message)
        case _:
            assert_never(message)
