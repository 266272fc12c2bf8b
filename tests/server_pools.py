"""A pool of agent servers in a test, with a real keeper and what else is around it."""

import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from actors.keeper import Keeper
from actors.keeper_process.marks import find_marked
from actors.messages import Append
from actors.opencode_client import OpenCodeClient
from actors.opencode_pool import ServerPool
from actors.opencode_process import Host
from actors.orders import Answer, Ask, KeeperAsk
from actors.server_messages import ServerGone, ServerReady, ServerState
from actors.session_messages import Endpoint
from protocols.agents import Agent
from protocols.ids import FleetId
from protocols.keeper import Shutdown
from protocols.layout import FleetFolder
from protocols.resumption import find_resumption
from protocols.secrets import SecretSource
from protocols.states import RunView

__all__ = ["FAKE", "Pools", "fake_agent", "open_pools"]

FAKE = (sys.executable, "-I", "-S", str(Path(__file__).with_name("fake_opencode.py")))


def fake_agent(*, sessions_per_server: int = 0, ready_within: float = 10.0, **config: object) -> Agent:
    """One whose program is `tests.fake_opencode`."""
    return Agent(
        name="oc",
        command=FAKE,
        config=json.dumps(config),
        sessions_per_server=sessions_per_server,
        ready_within=ready_within,
    )


@dataclass
class Pools:
    """One pool; ``told`` is what was said of its servers, ``with_them`` what was started beside each."""

    host: Host
    folder: Path
    stuck_after: float
    idle_after: float
    pool: ServerPool[str] = field(init=False)
    told: list[ServerState] = field(default_factory=list)
    with_them: list[tuple[str, Endpoint, Callable[[], int] | None]] = field(default_factory=list)
    changed: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        self.pool = ServerPool(
            host=self.host,
            folder=self.folder,
            companion=self.accompany,
            tell=self.tell,
            stuck_after=self.stuck_after,
            idle_after=self.idle_after,
        )

    async def tell(self, state: ServerState) -> None:
        self.told.append(state)
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, kind: type[ServerState], count: int = 1) -> ServerState:
        """The ``count``-th of this kind that was told."""
        while len(found := [state for state in self.told if isinstance(state, kind)]) < count:
            await self.changed.wait()
        return found[count - 1]

    async def ready(self, count: int = 1) -> ServerReady:
        state = await self.until(ServerReady, count)
        assert isinstance(state, ServerReady)
        return state

    async def gone(self, count: int = 1) -> ServerGone:
        state = await self.until(ServerGone, count)
        assert isinstance(state, ServerGone)
        return state

    async def accompany(
        self,
        server: str,
        endpoint: Endpoint,
        boot: Callable[[], int] | None,
        folder: Path,
        *,
        task_status: trio.TaskStatus[str],
    ) -> None:
        assert folder == self.folder / server
        self.with_them.append((server, endpoint, boot))
        task_status.started(f"beside {server}")
        await trio.sleep_forever()

    def living(self) -> list[int]:
        """The pids of all that the fleet's servers have started, themselves included."""
        return [process.pid for process in find_marked(f"{self.host.fleet}/")]


@asynccontextmanager
async def open_pools(
    tmp_path: Path,
    agent: Agent,
    *,
    environ: dict[str, str] | None = None,
    secrets: dict[SecretSource, str] | None = None,
    stuck_after: float = 120.0,
    idle_after: float = 60.0,
    fleet: str = "",
    durable: bool = False,
    epoch: int = 1,
) -> AsyncIterator[Pools]:
    """At the end the pool is stopped, then the keeper. ``epoch``: 2 for a later supervisor of the same ``fleet``."""
    asks, to_keeper = trio.open_memory_channel[KeeperAsk](16)
    events, appends = trio.open_memory_channel[Append](16)
    folder = tmp_path / "fleet"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keeper = Keeper(
        folder=FleetFolder(folder),
        fleet=FleetId(fleet or uuid.uuid4().hex),
        asks=to_keeper,
        outbox=events,
        durable=durable,
        resumption=find_resumption(RunView(), epoch) if epoch > 1 else None,
    )
    host = Host(
        agent=agent,
        fleet=keeper.fleet,
        environ={"PATH": "/usr/bin:/bin", **(environ or {})},
        secrets=secrets or {},
        keeper=asks,
        open_client=OpenCodeClient,
        limiter=trio.CapacityLimiter(2),
        attached=not durable,
    )
    pools = Pools(host, folder / "agents", stuck_after, idle_after)
    async with trio.open_nursery() as outer:
        outer.start_soon(_drain, appends)
        async with trio.open_nursery() as keeping:
            await keeping.start(keeper.run)
            with asks:
                async with trio.open_nursery() as nursery:
                    await nursery.start(pools.pool.run)
                    yield pools
                    pools.pool.stop()
                await _shut_down(asks)
        outer.cancel_scope.cancel(reason="the test is over")


async def _shut_down(keeper: trio.MemorySendChannel[KeeperAsk]) -> None:
    send, answer = trio.open_memory_channel[Answer](1)
    await keeper.send(Ask(Shutdown(), send))
    assert (await answer.receive()).error is None


async def _drain(appends: trio.MemoryReceiveChannel[Append]) -> None:
    async for _ in appends:
        pass
