"""Gives each event of an OpenCode server to the session that it is about, and holds up nobody for it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import trio

from actors.session_messages import Look, RouterInput

__all__ = ["RouterCounts", "SessionRouter"]


@dataclass(slots=True)
class RouterCounts:
    """What became of the events, since the router began."""

    routed: int = 0
    duplicates: int = 0
    dropped: int = 0
    """Because a session did not take its events in time; it was told `Missing`."""
    nobody: int = 0
    """They were about no session of ours."""
    broken: int = 0
    unlogged: int = 0
    """Of those about nobody's session: not in ``server-events.jsonl`` either, which was full or too slow."""
    others: Counter[str] = field(default_factory=Counter)
    """Of types that we do not know; they are passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRouter:
    """Sessions register; from then on their inboxes get what is about them and about their children."""

    inbox: trio.MemoryReceiveChannel[RouterInput]
    looks: trio.MemorySendChannel[Look]
    """To the reconciler, whose snapshots come into the inbox."""
    directories: trio.MemorySendChannel[str]
    """To the reader."""
    folder: Path
    """Where ``server-events.jsonl`` is, with the events that are about nobody's session."""
    limiter: trio.CapacityLimiter
    counts: RouterCounts = field(default_factory=RouterCounts)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Route until the last sender is gone."""
        raise NotImplementedError
