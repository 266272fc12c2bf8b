"""What is around the workers of a fleet, played by a test: the keeper, the follower, the journal and its disk."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from actors.messages import Append, Follow, FollowRequest
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk, StartWorker
from actors.source import Sources
from actors.spawn_request import Surroundings
from protocols.events import Event
from protocols.ids import AttemptId, FleetId, TaskId
from protocols.keeper import Ended, Request, Spawned
from protocols.keeper_codec import from_os
from protocols.kinds import EndReason
from protocols.layout import FleetFolder
from protocols.plan import Task

__all__ = ["Stage", "start", "surrounded"]

FLEET = FleetId("f" * 32)
_SPAWNED = Spawned(pid=4711, start_ticks=12, at=5.0)


def start(name: str = "a", attempt: int = 1, **fields: object) -> StartWorker:
    """An order to start an attempt of the task ``name``; ``fields`` are those of the task."""
    task = Task(id=TaskId(name), command=("program", "x"), cwd="/tmp", **fields)  # type: ignore[arg-type] # as named
    return StartWorker(task, attempt, AttemptId(f"{name}{attempt}".rjust(32, "0")))


@dataclass
class Stage:
    """``events`` holds what is on the disk."""

    around: Surroundings
    asks: trio.MemoryReceiveChannel[KeeperAsk]
    events: list[Event] = field(default_factory=list)
    disk: trio.Event = field(default_factory=trio.Event)
    """Set while it takes something."""
    followed: set[str] = field(default_factory=set)

    def fill_disk(self) -> None:
        self.disk = trio.Event()

    async def next_request(self) -> Request:
        """What the keeper is asked, where nobody waits for the answer."""
        ask = await self.asks.receive()
        assert isinstance(ask, Ask) and ask.answer is None
        return ask.request

    async def next_spawn(self) -> AskSpawn:
        ask = await self.asks.receive()
        assert isinstance(ask, AskSpawn)
        return ask

    async def spawned(self) -> AskSpawn:
        """The next request must be a spawn; it is done."""
        ask = await self.next_spawn()
        await self.answer(ask)
        return ask

    async def answer(self, ask: AskSpawn) -> None:
        _make(ask.request.stdout, ask.request.stderr, ask.request.terminal)
        await ask.answer.send(Answer(msgspec.json.encode(_SPAWNED)))

    async def end(
        self,
        ask: AskSpawn,
        code: int | None = 0,
        reason: EndReason = "exit",
        signal: str | None = None,
        output: int = 0,
        terminal: int = 0,
    ) -> None:
        await ask.reports.send(
            Ended(
                attempt=ask.request.attempt,
                code=code,
                signal=signal,
                exited_at=7.0,
                at=8.0,
                reason=reason,
                stdout_bytes=output,
                stderr_bytes=0,
                terminal_bytes=terminal,
                swept=(),
            )
        )


def _make(*paths: str) -> None:
    for path in filter(None, paths):
        Path(from_os(path).decode()).touch()


@asynccontextmanager
async def surrounded(folder: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """Workers with ``stage.around`` live in the body."""
    asks, to_keeper = trio.open_memory_channel[KeeperAsk](16)
    follows, to_follower = trio.open_memory_channel[FollowRequest](4)
    appends, to_journal = trio.open_memory_channel[Append](1)
    around = Surroundings(
        fleet=FLEET,
        folder=FleetFolder(folder),
        boot_id="boot",
        pid_namespace=1,
        environ=environ or {},
        executables={TaskId(name): f"/bin/{name}" for name in "abcdefgh"},
        sources=Sources(asks),
        follower=follows,
        outbox=appends,
        now=trio.current_time,
    )
    stage = Stage(around, to_keeper)
    stage.disk.set()

    async def write() -> None:
        async for append in to_journal:
            await stage.disk.wait()
            stage.events.append(append.event)
            if append.committed is not None:
                append.committed.set()

    async def follow() -> None:
        async for request in to_follower:
            if isinstance(request, Follow):
                stage.followed.add(request.key)
            else:
                stage.followed.remove(request.key)
                request.done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        nursery.start_soon(follow)
        yield stage
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
