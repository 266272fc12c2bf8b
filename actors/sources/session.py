"""The source of sessions on agent servers: each attempt is a session that is made, prompted and followed."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import trio

from actors.messages import Append
from actors.orders import Answer, AskSpawn, KeeperAsk
from actors.replies import Attempts, reply
from actors.session_lease import OpenLease
from actors.session_servers import SessionServers
from actors.session_worker import SessionWorker
from actors.steady_clock import SteadyClock
from protocols.agents import Prompting
from protocols.errors import SpawnError
from protocols.ids import FleetId, WorkerId
from protocols.layout import FleetFolder
from protocols.secrets import SecretSource

__all__ = ["SessionSource"]

_THREADS = 8  # that write to spools and logs
_STOP = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSource:
    """A source as `actors.source` tells, for all tasks of a fleet that are prompts.

    Ends when all senders of ``asks`` are gone. The servers that are its own then are gone too.
    """

    fleet: FleetId
    folder: FleetFolder
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    secrets: Mapping[SecretSource, str] = field(default_factory=dict, repr=False)
    asks: trio.MemoryReceiveChannel[KeeperAsk]
    keeper: trio.MemorySendChannel[KeeperAsk]
    outbox: trio.MemorySendChannel[Append]
    """To the journal."""
    now: Callable[[], float] = field(default_factory=SteadyClock)
    patience: float = 25.0
    """Seconds without a byte after which the connection to a server is dead."""
    look_every: float = 30.0
    """Seconds between two looks at each session."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until nobody asks any more."""
        async with trio.open_nursery() as nursery:
            servers = SessionServers(
                fleet=self.fleet,
                folder=self.folder.servers,
                environ=self.environ,
                secrets=self.secrets,
                keeper=self.keeper,
                nursery=nursery,
                outbox=self.outbox,
                patience=self.patience,
                look_every=self.look_every,
                now=self.now,
            )
            task_status.started()
            async with trio.open_nursery() as workers:
                desk = _Desk(folder=self.folder, open_lease=servers.lease, now=self.now)
                await desk.serve(self.asks, workers)
            servers.stop()
            nursery.cancel_scope.deadline = trio.current_time() + _STOP


@dataclass(slots=True, kw_only=True)
class _Desk:
    folder: FleetFolder
    open_lease: OpenLease
    now: Callable[[], float]
    attempts: Attempts[SessionWorker] = field(default_factory=Attempts)
    limiter: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, _THREADS))

    async def serve(self, asks: trio.MemoryReceiveChannel[KeeperAsk], nursery: trio.Nursery) -> None:
        async for ask in asks:
            if isinstance(ask, AskSpawn):
                self._spawn(ask, nursery)
            elif worker := self.attempts.find(ask):
                await worker.take(ask)

    def _spawn(self, ask: AskSpawn, nursery: trio.Nursery) -> None:
        task = ask.order.task
        if task.prompting is None:
            reply(ask.answer, Answer(error=SpawnError(f'task "{task.id}" has no prompt')))
        elif worker := self.attempts.begin(ask, partial(self._worker, task.prompting)):
            nursery.start_soon(worker.run)

    def _worker(self, prompting: Prompting, ask: AskSpawn) -> SessionWorker:
        return SessionWorker(
            ask=ask,
            prompting=prompting,
            open_lease=self.open_lease,
            folder=self.folder.attempt(WorkerId(ask.order.task.id), ask.order.attempt),
            limiter=self.limiter,
            now=self.now,
        )
