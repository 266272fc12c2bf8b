"""The actor that writes down what happens: events come in, numbered records go on to the hub once they are on disk."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trio

from actors.batches import receive_batch, receive_batch_nowait
from actors.journal_file import JournalFile, open_journal
from actors.messages import Append
from protocols.events import Record
from protocols.fleet_events import JournalResumed
from protocols.redacted_events import redact_event
from protocols.redaction import Redactor

__all__ = ["Journal"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

# While events pour, a commit begins no sooner than this after the one before: it costs as much as fifty events.
_COMPANY = 0.008
_GLANCE = 0.002  # between two looks at who came, so that a start does not wait for all of that
_LAST_COMMIT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Append each event to the journal, then pass its record on. Order and numbers are those of the arrival.

    A disk that takes nothing is no reason to end: what was taken waits, nothing more is taken, so that the senders
    wait too, and a ``journal.resumed`` follows when it works again.
    """

    path: Path
    inbox: trio.MemoryReceiveChannel[Append]
    outbox: trio.MemorySendChannel[Record]
    batch: int = 512
    retry: float = 1.0
    """Pause between two tries while the disk takes nothing."""
    now: Callable[[], float] = time.time
    redactor: Redactor = field(default_factory=Redactor)
    """Takes out what nobody may read there."""
    _taken: list[Append] = field(default_factory=list, init=False)
    """Out of the channel and not yet on disk. A field, because a restart must not lose it."""
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1), init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Return when all senders are gone and all they sent is on disk. Raise `JournalError`.

        If it is cancelled, what was sent until then is still written, for two seconds at most; the hub may miss it.
        """
        file = await self._in_thread(open_journal, self.path)
        try:
            task_status.started()
            async with self.inbox.clone() as inbox, self.outbox.clone() as outbox:
                try:
                    await self._write(file, inbox, outbox)
                except trio.Cancelled:
                    with trio.move_on_after(_LAST_COMMIT, shield=True):
                        await self._write_rest(file, inbox)
                    raise
        finally:
            with trio.move_on_after(_LAST_COMMIT, shield=True):
                await self._in_thread(file.close)
            if self._taken:
                logger.error("%s: %d events are not written yet", self.path, len(self._taken))

    async def _write(
        self, file: JournalFile, inbox: trio.MemoryReceiveChannel[Append], outbox: trio.MemorySendChannel[Record]
    ) -> None:
        committed_at = -math.inf
        while True:
            if not self._taken:
                self._taken.extend(await receive_batch(inbox, self.batch))
            if not self._taken:
                return
            await self._wait_for_company(inbox, committed_at + _COMPANY)
            committed_at = trio.current_time()
            for record in await self._commit(file):
                try:
                    outbox.send_nowait(record)
                except trio.WouldBlock:
                    await outbox.send(record)

    async def _wait_for_company(self, inbox: trio.MemoryReceiveChannel[Append], until: float) -> None:
        """A lone event goes at once, and one that somebody waits for as soon as it is seen."""
        while trio.current_time() < until and all(append.committed is None for append in self._taken):
            await trio.sleep_until(min(trio.current_time() + _GLANCE, until))
            self._taken.extend(receive_batch_nowait(inbox, self.batch - len(self._taken)))

    async def _commit(self, file: JournalFile) -> list[Record]:
        """All that was taken is on disk when this returns, and none of it when it raises or is cancelled."""
        records = await self._append(file, self._taken)
        for append in self._taken:
            if append.committed is not None:
                append.committed.set()
        self._taken.clear()
        return records

    async def _append(self, file: JournalFile, appends: Sequence[Append]) -> list[Record]:
        events = [redact_event(append.event, self.redactor) for append in appends]
        keys = [append.key for append in appends]
        try:
            return await self._in_thread(file.append, events, keys)
        except OSError as exc:
            error = str(exc)
        logger.warning("the journal cannot be written: %s; it is tried again, and nothing is lost", error)
        failed_at = trio.current_time()
        while True:
            await trio.sleep(self.retry)
            resumed = JournalResumed(at=self.now(), seconds=trio.current_time() - failed_at, error=error)
            with suppress(OSError):
                return await self._in_thread(file.append, [*events, resumed], [*keys, None])

    async def _write_rest(self, file: JournalFile, inbox: trio.MemoryReceiveChannel[Append]) -> None:
        self._taken.extend(receive_batch_nowait(inbox, math.inf))
        if self._taken:
            await self._commit(file)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """In a thread that, once it began, no cancellation abandons: its result is always known."""
        return await trio.to_thread.run_sync(function, *arguments, limiter=self._limiter)
