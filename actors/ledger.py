"""The verbs of a ledger for actors: over rules and a store, in this process or in a file."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from actors.ledger_file import LedgerFile, open_ledger
from protocols.events import Event
from protocols.ids import TaskId
from protocols.ledger import (
    Changed,
    Claimed,
    End,
    Entry,
    Finished,
    Grant,
    On,
    Renewed,
    Resynced,
    Standing,
    Told,
)
from protocols.ledger_reopening import reopen
from protocols.ledger_resync import resync
from protocols.ledger_rules import Rules

__all__ = ["BaseLedger", "FileLedger", "Patience", "open_file_ledger"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
C = TypeVar("C", bound=Changed)


class BaseLedger(ABC):
    """A `protocols.ledger.Ledger`: what remains is where and how its rules are applied."""

    def __init__(self) -> None:
        self._version = 1
        self._changed = trio.Event()

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    async def _do(self, verb: Callable[[Rules], T]) -> T:
        """As one transaction, one after the other."""

    @abstractmethod
    async def outbox(self) -> tuple[Told, ...]: ...

    @abstractmethod
    async def trim(self, upto: int) -> None: ...

    async def submit(
        self, entries: Sequence[Entry], *, into: TaskId | None = None, on: On = "success", tell: Sequence[Event] = ()
    ) -> Changed:
        return await self._change(lambda rules: rules.submit(entries, into, on, tell))

    async def claim(
        self, node: str, free: int, caps: Mapping[str, int] | None = None, most: float = math.inf
    ) -> Claimed:
        return await self._do(lambda rules: rules.claim(node, free, caps, most, self._version))

    async def renew(self, grants: Sequence[Grant]) -> Renewed:
        return await self._do(lambda rules: rules.renew(grants))

    async def finish(self, ends: Sequence[End], *, tell: Sequence[Event] = ()) -> Finished:
        return await self._change(lambda rules: rules.finish(ends, tell))

    async def cancel(self, tasks: Sequence[TaskId] | None, reason: str) -> Changed:
        return await self._change(lambda rules: rules.cancel(tasks, reason))

    async def reopen(self, task: TaskId) -> Changed:
        return await self._change(lambda rules: reopen(rules, task))

    async def reap(self, node: str | None = None) -> Changed:
        return await self._change(lambda rules: rules.reap(node))

    async def resync(self, node: str, entries: Sequence[Entry], standings: Sequence[Standing]) -> Resynced:
        return await self._change(lambda rules: resync(rules, node, entries, standings))

    async def watch(self, seen: int) -> int:
        while self._version <= seen:
            await self._changed.wait()
        return self._version

    async def _change(self, verb: Callable[[Rules], C]) -> C:
        changed = await self._do(verb)
        self._version += 1
        self._changed.set()
        self._changed = trio.Event()
        return changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """With a disk that takes nothing."""

    retry: float = 1.0
    """Seconds between two tries."""
    what: str = "the ledger"
    say: Callable[[str], None] = lambda text: None
    """That it is so; nothing any more once it is over."""
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1), init=False)

    async def wait(self, work: Callable[[], T]) -> T:
        """Do it in a thread that, once it began, no cancellation abandons, as often as it raises ``OSError``."""
        try:
            return await trio.to_thread.run_sync(work, limiter=self._limiter)
        except OSError as error:
            text = f"{self.what} cannot be written: {error}; it is tried again, and nothing is lost"
        logger.warning("%s", text)
        self.say(text)
        while True:
            await trio.sleep(self.retry)
            with suppress(OSError):
                result = await trio.to_thread.run_sync(work, limiter=self._limiter)
                self.say("")
                return result


class FileLedger(BaseLedger):
    """In a file. A disk that takes nothing is waited for, and the verb tried again."""

    def __init__(self, file: LedgerFile, disk: Patience) -> None:
        super().__init__()
        self._file = file
        self._disk = disk

    @property
    def name(self) -> str:
        return self._file.name

    async def outbox(self) -> tuple[Told, ...]:
        return tuple(await self._do(lambda _: self._file.store.outbox()))

    async def trim(self, upto: int) -> None:
        await self._do(lambda _: self._file.store.trim(upto))

    async def _do(self, verb: Callable[[Rules], T]) -> T:
        return await self._disk.wait(lambda: self._file.do(verb))


@asynccontextmanager
async def open_file_ledger(path: Path, say: Callable[[str], None]) -> AsyncIterator[FileLedger]:
    """Of the run of this supervisor. ``say``: as in `Patience`. Raise `LedgerError`."""
    disk = Patience(say=say)
    file = await disk.wait(partial(open_ledger, path, retry=True))
    with closing(file):
        yield FileLedger(file, disk)
