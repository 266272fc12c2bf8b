"""The source of panes of tmux: workers in a server of the fleet's own, and sessions of somebody else's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import trio

from actors.orders import AskSpawn, KeeperAsk
from actors.replies import Attempts
from actors.tmux_adoption import TmuxAdoption
from actors.tmux_process import Server
from actors.tmux_server import OwnServer, client_environment
from actors.tmux_worker import TmuxWorker
from protocols.ids import FleetId
from protocols.keeper_inputs import Interrupt, Write
from protocols.layout import FleetFolder

__all__ = ["TmuxSource"]

_THREADS = 4  # that write to spools; more would only wait for the same disk
_STOP = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TmuxSource:
    """A source as `actors.source` tells, for all tasks of a fleet that run in tmux.

    Ends when all senders of ``asks`` are gone. Its own server then is gone too.
    """

    fleet: FleetId
    folder: FleetFolder
    environ: Mapping[str, str]
    asks: trio.MemoryReceiveChannel[KeeperAsk]
    keeper: trio.MemorySendChannel[KeeperAsk]
    attached: bool = True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until nobody asks any more."""
        own = OwnServer(
            fleet=self.fleet,
            folder=self.folder,
            environ=self.environ,
            keeper=self.keeper,
            attached=self.attached,
        )
        async with trio.open_nursery() as servers:
            task_status.started()
            async with trio.open_nursery() as workers:
                desk = _Desk(own=own, keeper=self.keeper, servers=servers, environ=self.environ)
                await desk.serve(self.asks, workers)
            with trio.move_on_after(_STOP):
                await own.stop()
            servers.cancel_scope.cancel(reason="nobody needs a tmux server any more")


@dataclass(slots=True, kw_only=True)
class _Desk:
    own: OwnServer
    keeper: trio.MemorySendChannel[KeeperAsk]
    servers: trio.Nursery
    environ: Mapping[str, str]
    taken: set[tuple[str, str]] = field(default_factory=set)
    told: set[tuple[str, str]] = field(default_factory=set)
    others: dict[str, Server] = field(default_factory=dict)
    """Somebody else's, by what the plan calls them."""
    attempts: Attempts[TmuxWorker | TmuxAdoption] = field(default_factory=Attempts)
    limiter: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, _THREADS))

    async def serve(self, asks: trio.MemoryReceiveChannel[KeeperAsk], nursery: trio.Nursery) -> None:
        async for ask in asks:
            if isinstance(ask, AskSpawn):
                if begun := self.attempts.begin(ask, self._worker):
                    nursery.start_soon(begun.run, self.servers)
            elif worker := self.attempts.find(ask):
                if isinstance(ask.request, Write | Interrupt):  # who types waits for the proof
                    nursery.start_soon(worker.take, ask)
                else:
                    await worker.take(ask)

    def _worker(self, ask: AskSpawn) -> TmuxWorker | TmuxAdoption:
        tmux = ask.order.task.tmux
        if tmux is None:
            return TmuxWorker(ask=ask, own=self.own, keeper=self.keeper, limiter=self.limiter)
        server = self.others.get(tmux.socket)
        if server is None:
            flags = ("-S" if "/" in tmux.socket else "-L", tmux.socket)  # with a slash it is a path
            server = self.others[tmux.socket] = Server(flags, client_environment(self.environ))
        return TmuxAdoption(ask=ask, tmux=tmux, server=server, taken=self.taken, told=self.told, limiter=self.limiter)
