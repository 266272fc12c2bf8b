"""The servers on which sessions live, by agent, and what goes with each of them: reader, router and reconciler."""

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from actors.messages import Append
from actors.opencode_client import OpenCodeClient
from actors.opencode_pool import ServerPool
from actors.opencode_process import Host
from actors.orders import KeeperAsk
from actors.reconciler import Reconciler
from actors.server_messages import ServerCalls, ServerGone, ServerReady, ServerState
from actors.session_lease import Lease
from actors.session_messages import Endpoint, Look, RouterInput
from actors.session_router import SessionRouter
from actors.session_routes import RouterCounts
from actors.stream_reader import StreamReader
from protocols.agents import Agent
from protocols.ids import FleetId
from protocols.secrets import SecretSource
from protocols.server_events import ServerEnded, ServerEvent, ServerOther, ServerStarted

__all__ = ["SessionServers"]

_THREADS = 4
_ROUTER_INBOX = 64
_LOOKS = 1
_DIRECTORIES = 256
_COUNT_EVERY = 30.0
_DURABLE = "+durable"  # no agent can be called so
_GOODBYE = 1.0


@dataclass(frozen=True, slots=True)
class _Companion:
    client: OpenCodeClient
    router: trio.MemorySendChannel[RouterInput]


@dataclass(slots=True, kw_only=True)
class SessionServers:
    """Pools of servers, each begun when the first session of its agent wants a place, in the nursery ``nursery``."""

    fleet: FleetId
    folder: Path
    """Each managed server gets a folder in it."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    secrets: Mapping[SecretSource, str] = field(default_factory=dict, repr=False)
    keeper: trio.MemorySendChannel[KeeperAsk]
    nursery: trio.Nursery
    limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(_THREADS))
    open_client: Callable[[Endpoint], ServerCalls] = OpenCodeClient
    outbox: trio.MemorySendChannel[Append]
    """To the journal."""
    patience: float = 25.0
    """Seconds without a byte after which the connection to a server is dead."""
    look_every: float = 30.0
    """Seconds between two looks at each session."""
    now: Callable[[], float] = time.time
    _pools: dict[tuple[str, bool], ServerPool[_Companion]] = field(default_factory=dict)
    """By agent, and whether they outlive the supervisor."""
    _starting: trio.Lock = field(default_factory=trio.Lock)

    @asynccontextmanager
    async def lease(
        self, agent: Agent, directory: str, server: str = "", *, durable: bool = False
    ) -> AsyncIterator[Lease]:
        """A place for a session in this directory. ``server``: the one on which it lives already. ``durable``: on a
        server that goes on without a supervisor, as no other session may. Raise ServerError where there is none."""
        async with self._starting:
            pool = await self._pool(agent, durable=durable)
        async with pool.lease(directory, server) as place:
            companion = place.companion
            yield Lease(
                place.server, place.endpoint, companion.client, companion.router, place.given_up, lambda: place.why
            )

    def stop(self) -> None:
        """No session lives any more: end what is ours."""
        for pool in self._pools.values():
            pool.stop()

    async def _pool(self, agent: Agent, *, durable: bool) -> ServerPool[_Companion]:
        key = (agent.name, durable and not agent.attach)
        pool = self._pools.get(key)
        if pool is None:
            host = Host(
                agent=agent,
                fleet=self.fleet,
                environ=self.environ,
                secrets=self.secrets,
                keeper=self.keeper,
                open_client=self.open_client,
                limiter=self.limiter,
                attached=not durable,
            )
            stem = f"{agent.name}{_DURABLE}" if durable else ""
            pool = self._pools[key] = ServerPool(
                host=host, folder=self.folder, companion=self._accompany, stem=stem, tell=self._tell
            )
            await self.nursery.start(pool.run)
        return pool

    async def _tell(self, state: ServerState) -> None:
        match state:
            case ServerReady():
                version, pid = state.version, state.pid
                event: ServerEvent = ServerStarted(
                    at=self.now(),
                    server=state.server,
                    url=state.endpoint.url,
                    version=version,
                    boot=state.boot,
                    pid=pid,
                )
            case ServerGone():
                event = ServerEnded(
                    at=self.now(),
                    server=state.server,
                    boot=state.boot,
                    why=state.why,
                    again_in=state.again_in,
                    given_up=state.given_up,
                )
        await self.outbox.send(Append(event))

    async def _count(self, server: str, counts: RouterCounts) -> None:
        """Tell of events whose types nobody knows, where there are more: now and then, and at the end."""
        told: dict[str, int] = {}
        try:
            while True:
                await trio.sleep(_COUNT_EVERY)
                await self._tell_others(server, counts, told)
        finally:
            with trio.move_on_after(_GOODBYE, shield=True):
                await self._tell_others(server, counts, told)

    async def _tell_others(self, server: str, counts: RouterCounts, told: dict[str, int]) -> None:
        for name, count in list(counts.others.items()):
            if count > told.get(name, 0):
                told[name] = count
                await self.outbox.send(Append(ServerOther(at=self.now(), server=server, name=name, count=count)))

    async def _accompany(
        self,
        server: str,
        endpoint: Endpoint,
        boot: Callable[[], int] | None,
        folder: Path,
        *,
        task_status: trio.TaskStatus[_Companion],
    ) -> None:
        """Everything about one server, until it is cancelled."""
        client = OpenCodeClient(endpoint)
        router, inbox = trio.open_memory_channel[RouterInput](_ROUTER_INBOX)
        looks, to_reconcile = trio.open_memory_channel[Look](_LOOKS)
        directories, to_read = trio.open_memory_channel[str](_DIRECTORIES)
        routing = SessionRouter(
            inbox=inbox,
            looks=looks,
            directories=directories,
            folder=folder,
            limiter=self.limiter,
            every=self.look_every,
            now=self.now,
        )
        reading = StreamReader(
            open_stream=client.stream,
            outbox=router,
            directories=to_read,
            boot=boot,
            patience=self.patience,
            now=self.now,
        )
        reconciling = Reconciler(inbox=to_reconcile, outbox=router, client=client, now=self.now)
        await trio.to_thread.run_sync(_make_folder, folder, limiter=self.limiter)
        async with trio.open_nursery() as nursery:
            for run in (routing.run, reconciling.run, reading.run):
                await nursery.start(run)
            task_status.started(_Companion(client, router))
            await self._count(server, routing.counts)


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
