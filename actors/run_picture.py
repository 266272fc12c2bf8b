"""A run as its records tell it, kept up to date for those who ask, and for those who wait for something to be so."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import trio

from actors.messages import Subscribe
from actors.subscription import follow_records
from protocols.events import WorkerOutput
from protocols.states import RunView

__all__ = ["RunPicture"]

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class RunPicture:
    """Follows the records of one run. What it shows is in the journal."""

    journal: Path
    subscribe: trio.MemorySendChannel[Subscribe]
    view: RunView = field(default_factory=RunView, init=False)
    """To be read only, and never kept: after a restart it is another one."""
    _changed: trio.Event = field(default_factory=trio.Event, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow until the hub ends."""
        self.view = RunView()
        task_status.started()
        async with aclosing(follow_records(self.journal, self.subscribe)) as records:
            async for record in records:
                self.view.apply(record)
                if not isinstance(record.event, WorkerOutput) and self._changed.statistics().tasks_waiting:
                    self._changed.set()
                    self._changed = trio.Event()

    async def wait_for(self, find: Callable[[RunView], T | None]) -> T:
        """What ``find`` finds as soon as it does: it is asked now, and behind each record but those of output."""
        while (found := find(self.view)) is None:
            await self._changed.wait()
        return found
