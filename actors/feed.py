"""The records of a fleet for many readers at once: each is read and encoded once, and nobody waits for another."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import trio

from actors.journal_file import last_seq, read_records
from actors.messages import Subscribe
from actors.subscription import follow_records
from protocols.event_codec import encode_record
from protocols.events import Event, Record

__all__ = ["Feed", "Told"]

_KEPT = 2048  # records; who is further behind reads the journal
_PAGE = 512


class Told:
    """A record, with its text once somebody wants that."""

    def __init__(self, record: Record) -> None:
        self.record = record

    @property
    def seq(self) -> int:
        return self.record.seq

    @property
    def event(self) -> Event:
        return self.record.event

    @cached_property
    def text(self) -> bytes:
        """As `encode_record` makes it: one JSON object without line breaks."""
        return encode_record(self.record)


@dataclass(slots=True, kw_only=True)
class Feed:
    """Keeps the latest records at hand. Readers keep their own numbers and ask for what is behind those."""

    journal: Path
    subscribe: trio.MemorySendChannel[Subscribe]
    _latest: list[Told] = field(default_factory=list, init=False)
    """Without holes; those of the last, and up to as many again."""
    _news: trio.Event = field(default_factory=trio.Event, init=False)
    _last: int = field(default=0, init=False)
    _ended: bool = field(default=False, init=False)

    @property
    def last(self) -> int:
        """The number of the latest record."""
        return self._last

    @property
    def oldest(self) -> int:
        """The number of the first record at hand; of those before it only the journal knows."""
        return self._latest[0].seq if self._latest else self._last + 1

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the journal until the fleet ends. Raise `JournalError`."""
        if not self._last:
            self._last = await trio.to_thread.run_sync(last_seq, self.journal)
        task_status.started()
        async with aclosing(follow_records(self.journal, self.subscribe, self._last)) as records:
            async for record in records:
                self._take(record)
        self._ended = True
        self._wake()

    async def read(self, after: int) -> Sequence[Told]:
        """What is behind number ``after``, in order and without holes, at most 512; waits while there is nothing.
        Empty: the fleet has ended, nothing comes any more. Raise `JournalError`."""
        while after >= self._last:
            if self._ended:
                return []
            await self._news.wait()
        await trio.lowlevel.checkpoint()
        if not self._latest or after + 1 < self._latest[0].seq:
            return await trio.to_thread.run_sync(self._replay, after)
        begin = after + 1 - self._latest[0].seq
        return self._latest[begin : begin + _PAGE]

    def _take(self, record: Record) -> None:
        self._latest.append(Told(record))
        self._last = record.seq
        if len(self._latest) > 2 * _KEPT:
            del self._latest[:_KEPT]
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _replay(self, after: int) -> list[Told]:
        return [Told(record) for record in read_records(self.journal, after, limit=_PAGE)]
