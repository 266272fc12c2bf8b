"""The workers of a fleet as they stand: told by the port of ``callboard up``, else by the journal."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from protocols.ids import RunId
from protocols.port_params import TaskListParams
from protocols.port_results import WorkerLine
from protocols.port_view import list_workers
from protocols.states import RunView
from supervisor.fleets import Fleet, tell_detached
from supervisor.sweep import conclude, find_end
from supervisor.up_state import find_main, is_up
from supervisor.views import update_view

__all__ = ["Read", "Workers", "open_workers", "read_workers"]


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId | None
    workers: tuple[WorkerLine, ...]
    at: float
    """Unix time of whoever tells."""
    note: str = ""
    """Why the supervisor does not tell; empty where it does."""


Read = Callable[[], Awaitable[Workers]]


@asynccontextmanager
async def open_workers(state: Path) -> AsyncIterator[Read]:
    """Something that reads them again and again. Raise InputError where nothing ran here, UnreachableError where the
    supervisor is there and does not answer."""
    if not is_up(state):
        yield _Journal(find_main(state)).read
        return
    from supervisor.port_access import open_port  # noqa: PLC0415 - whoever reads journals needs nothing of the port

    async with open_port(state) as client:
        run = (await client.info()).run

        async def read() -> Workers:
            answer = await client.workers(TaskListParams())
            return Workers(run=run, workers=answer.workers, at=time.time())

        yield read


def read_workers(state: Path) -> Workers:
    """Once. Raise as `open_workers`."""

    async def read() -> Workers:
        async with open_workers(state) as look:
            return await look()

    return trio.run(read)


class _Journal:
    """Of a fleet that nobody need be asked about."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._view = fleet, RunView()
        self._limiter = trio.CapacityLimiter(1)

    async def read(self) -> Workers:
        return await trio.to_thread.run_sync(self._read, limiter=self._limiter)

    def _read(self) -> Workers:
        fleet = self._fleet
        if not fleet.is_alive():
            conclude(fleet)
        update_view(self._view, fleet.folder.journal, samples=True)
        now = time.time()
        return Workers(run=fleet.name, workers=tuple(list_workers(self._view, now)), at=now, note=_note(fleet))


def _note(fleet: Fleet) -> str:
    if fleet.is_alive():
        return f"no supervisor runs here; this is run {fleet.name}, which somebody runs in the foreground"
    if fleet.is_detached() and find_end(fleet) is None:
        return f"run {fleet.name}: {tell_detached(fleet)}"
    return f"no supervisor runs here; this is run {fleet.name}, which has ended"
