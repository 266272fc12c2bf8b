"""The fleet as its records tell it, kept up to date for those who ask."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trio

from actors.journal_file import last_seq
from actors.messages import Subscribe
from actors.subscription import follow_records
from protocols.events import Record
from protocols.fleet_events import ActorFailed
from protocols.states import RunView

__all__ = ["Picture"]

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Picture:
    """`view` is that of the records up to ``view.last_seq``."""

    journal: Path
    subscribe: trio.MemorySendChannel[Subscribe]
    view: RunView = field(default_factory=RunView, init=False)
    parked: dict[str, str] = field(default_factory=dict, init=False)
    """Actors that failed and are not started again, with their errors."""
    _news: trio.Event = field(default_factory=trio.Event, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Started when all that is in the journal is in the view; follow until the fleet ends. Raise `JournalError`."""
        self.view, self.parked = RunView(), {}
        last = await trio.to_thread.run_sync(self._last) if self.journal.exists() else 0
        waiting = last > 0
        if not waiting:
            task_status.started()
        async with aclosing(follow_records(self.journal, self.subscribe)) as records:
            async for record in records:
                self._take(record)
                if waiting and record.seq >= last:
                    waiting = False
                    task_status.started()

    async def wait_for(self, seq: int) -> None:
        """Return when the records up to this number are in the view."""
        while self.view.last_seq < seq:
            await self._news.wait()

    async def wait_until(self, find: Callable[[RunView], T | None]) -> T:
        """What ``find`` finds as soon as it does: it is asked now, and behind each record."""
        while (found := find(self.view)) is None:
            await self._news.wait()
        return found

    def _last(self) -> int:
        return last_seq(self.journal)

    def _take(self, record: Record) -> None:
        self.view.apply(record)
        if isinstance(record.event, ActorFailed):
            if record.event.restart_in is None:
                self.parked[record.event.actor] = record.event.error
            else:
                self.parked.pop(record.event.actor, None)
        self._news.set()
        self._news = trio.Event()
