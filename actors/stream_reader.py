"""Reads the events of one OpenCode server for as long as it lives: notices silence, comes back, never stops reading."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import trio

from actors.session_messages import Disconnected, RouterInput
from actors.stream_connection import Connection, End, OpenStream
from protocols.backoff import delay

__all__ = ["StreamReader"]

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0  # an attempt costs next to nothing, and sessions wait for it
_AT_ONCE = 2.0  # a stream that lasted no longer was ended at once
_OFTEN = 3  # so many times in a row: this stream is not to be had
_OFTEN_IN_ONE = 12
_MOST_DIRECTORIES = 256  # streams that one server is asked for, where it has none of all directories


@dataclass(slots=True)
class _Known:
    """What one reader knows of its server."""

    given: Callable[[], int] | None
    counted: int = 1
    was_there: bool = False
    refused: bool = False
    """Nobody listened at its port since it was there: who listens now is another process."""
    directories: set[str] = field(default_factory=set)
    more: trio.Event = field(default_factory=trio.Event)
    live: set[str] = field(default_factory=set)
    """The directories whose stream is there; the empty one is all of them."""

    def boot(self) -> int:
        """The number of the process that is connected now."""
        self.counted += self.refused and self.was_there
        self.was_there, self.refused = True, False
        return self.counted if self.given is None else self.given()

    def add(self, directory: str) -> None:
        if directory in self.directories:
            return
        if len(self.directories) >= _MOST_DIRECTORIES:
            logger.warning("%s: one directory too many, if each needs a stream of its own", directory)
        else:
            self.directories.add(directory)
            self.more.set()
            self.more = trio.Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReader:
    """Tell ``outbox`` what the server says: `Connected`, any number of `Arrived`, `Disconnected`, and so on for ever.

    `Disconnected` is also said where there never was a connection, each time that the reason is another one. Who takes
    it must never wait for a session: a server whose stream nobody reads grows by megabytes a second.
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
    random: Callable[[], float] = random.random

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read until cancelled."""
        known = _Known(self.boot)
        async with self.outbox.clone() as outbox, trio.open_nursery() as nursery:
            nursery.start_soon(self._learn, known)
            task_status.started()
            while True:
                await self._follow(None, known, outbox)
                logger.warning("this server has no stream of all directories: each of them is read by itself")
                async with trio.open_nursery() as each:
                    await self._follow_each(known, outbox, each)
                for directory in sorted(known.live):
                    await outbox.send(Disconnected("the server went away", directory))
                known.live.clear()

    async def _learn(self, known: _Known) -> None:
        async for directory in self.directories:
            known.add(directory)

    async def _follow_each(
        self, known: _Known, outbox: trio.MemorySendChannel[RouterInput], nursery: trio.Nursery
    ) -> None:
        """Follow every directory, until the server is another one, or none."""
        followed: set[str] = set()
        ended = partial(nursery.cancel_scope.cancel, reason="the server went away")
        while not nursery.cancel_scope.cancel_called:
            more = known.more
            for directory in sorted(known.directories - followed):
                followed.add(directory)
                nursery.start_soon(self._follow_one, directory, known, outbox, ended)
            await more.wait()

    async def _follow_one(
        self, directory: str, known: _Known, outbox: trio.MemorySendChannel[RouterInput], ended: Callable[[], None]
    ) -> None:
        await self._follow(directory, known, outbox)
        ended()

    async def _follow(self, directory: str | None, known: _Known, outbox: trio.MemorySendChannel[RouterInput]) -> None:
        """Read one stream again and again; return when it is not to be had."""
        said, failures, at_once = "", 0, 0
        while True:
            end = await self._connect(directory, known, outbox)
            if end.connected or end.why != said:
                said = end.why
                await outbox.send(Disconnected(end.why, directory or ""))
            short = end.lasted < _AT_ONCE and not end.disposed
            at_once = at_once + 1 if short and end.kind in {None, "broken"} else 0
            if _not_to_be_had(directory, end, at_once):
                return
            failures = 0 if end.connected and not short else failures + 1
            if failures:
                await trio.sleep(delay(failures, _FIRST_PAUSE, _LONGEST_PAUSE, self.random))

    async def _connect(self, directory: str | None, known: _Known, outbox: trio.MemorySendChannel[RouterInput]) -> End:
        where = directory or ""

        def boot() -> int:
            known.live.add(where)
            return known.boot()

        connection = Connection(
            open_stream=self.open_stream,
            directory=directory,
            outbox=outbox,
            boot=boot,
            patience=self.patience,
            now=self.now,
        )
        end = await connection.run()
        known.live.discard(where)
        known.refused = known.refused or end.kind == "unreachable"
        return end


def _not_to_be_had(directory: str | None, end: End, at_once: int) -> bool:
    """Try the other kind of stream: that of each directory where there is none of all, and the other way round."""
    if directory is None:
        return end.kind == "not-found" or at_once >= _OFTEN
    return end.kind == "unreachable" or at_once >= _OFTEN_IN_ONE
