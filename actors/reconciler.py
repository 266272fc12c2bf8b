"""Asks an OpenCode server how its sessions are: what a stream missed is found so, and what it never said."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from actors.session_messages import Look, RouterInput

__all__ = ["Questions", "Reconciler"]


class Questions(Protocol):
    """What is asked of `OpenCodeClient`."""

    async def session_status(self, directory: str) -> bytes: ...
    async def permissions(self, directory: str = "") -> bytes: ...
    async def questions(self, directory: str = "") -> bytes: ...
    async def messages(self, session: str, limit: int = 0) -> bytes: ...
    async def children(self, session: str) -> bytes: ...
    async def todos(self, session: str) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Answer each `Look` with a `Snapshot` of each of its sessions and their children, as soon as the server does."""

    inbox: trio.MemoryReceiveChannel[Look]
    outbox: trio.MemorySendChannel[RouterInput]
    client: Questions
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask until the last sender is gone."""
        raise NotImplementedError
