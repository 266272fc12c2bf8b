"""The keeper's client: starts a fleet's keeper, passes requests and reports, replaces it when it dies."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import trio

from actors.keeper_link import open_keeper
from actors.keeper_service import KeeperService
from actors.keeper_table import Table
from actors.messages import Append
from actors.orders import KeeperAsk
from actors.strays import Strays
from protocols.errors import KeeperError
from protocols.fleet_events import KeeperLost, KeeperStarted
from protocols.ids import FleetId
from protocols.layout import FleetFolder
from protocols.resumption import Resumption

__all__ = ["Keeper"]

_LIMIT, _WINDOW = 3, 60.0  # a keeper that dies so often is killed by something that will not stop
_GENERATIONS = 1_000_000  # for the keepers of one supervisor; those of the next one count from there
_STRAYS_DEADLINE = 6.0  # longer than it takes to find out that one of them does not die


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Own the connection to the fleet's keeper.

    Ends when all senders of ``asks`` are gone. A keeper that dies or gets stuck is replaced at once and its workers
    are handed to the new one: they came to us, as this process is a subreaper. Raise KeeperError when no keeper can
    be started, or the third within a minute is lost.
    """

    folder: FleetFolder
    fleet: FleetId
    asks: trio.MemoryReceiveChannel[KeeperAsk]
    outbox: trio.MemorySendChannel[Append]
    reply_deadline: float = 10.0
    """A keeper that leaves a request without reply for so long is stuck (stopped, or its disk hangs)."""
    durable: bool = False
    """Some workers go on without a supervisor. Only when the keeper was told to finish, it is gone at the end."""
    resumption: Resumption | None = None
    """Where an earlier supervisor has left the run: its keeper may be at work."""
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        table, strays = Table(resumption=self.resumption), Strays(self.fleet)
        losses: list[float] = []
        try:
            async with self.outbox.clone() as outbox:
                while await self._generation(len(losses), table, strays, outbox, task_status):
                    losses.append(trio.current_time())
                    if len([at for at in losses if at > trio.current_time() - _WINDOW]) >= _LIMIT:
                        raise KeeperError(
                            f"{_LIMIT} keepers were lost within {_WINDOW:g} s; see {self.folder.keeper_log}"
                        )
        finally:
            table.close()
            with trio.move_on_after(_STRAYS_DEADLINE, shield=True):
                await strays.end(table.staying)

    async def _generation(
        self,
        before: int,
        table: Table,
        strays: Strays,
        outbox: trio.MemorySendChannel[Append],
        task_status: trio.TaskStatus[None],
    ) -> bool:
        """Serve with one keeper, ``before`` which so many were lost; True when it was lost too."""
        epoch = 1 if self.resumption is None else self.resumption.epoch
        generation = (epoch - 1) * _GENERATIONS + before + 1
        find = self.resumption is not None and not before
        async with open_keeper(self.folder, self.fleet, generation, find=find) as link:
            found = not link.ours
            await outbox.send(Append(KeeperStarted(at=self.now(), pid=link.pid, generation=generation, found=found)))
            if not before:
                task_status.started()
            service = KeeperService(
                link=link,
                fleet=self.fleet,
                table=table,
                strays=strays,
                outbox=outbox,
                reply_deadline=self.reply_deadline,
                now=self.now,
            )
            lost = ""
            try:
                lost = await service.run(self.asks, resumed=before > 0)
            finally:
                if self.durable and not lost and not table.finished:
                    link.stays = True
                    table.staying.append(link.pid)
            if lost:
                await link.kill()
        if lost:
            await outbox.send(Append(KeeperLost(at=self.now(), pid=link.pid, reason=lost)))
        return bool(lost)
