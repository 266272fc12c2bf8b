"""The source of sessions in a test: tasks with prompts on a server that is there, and what is reported of them."""

import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio

from actors.messages import Append
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk, StartWorker
from actors.sources.session import SessionSource
from protocols.agents import Agent, PermissionRule, Prompting
from protocols.events import WorkerStarted
from protocols.ids import AttemptId, FleetId, TaskId, WorkerId
from protocols.keeper import Ended, Report, Spawn, Stdin, Stop
from protocols.kinds import EndReason
from protocols.layout import FleetFolder
from protocols.plan import Task
from protocols.resumption import OpenAttempt
from protocols.session_events import SessionEvent
from protocols.session_report import SessionReport

__all__ = ["Attempt", "SessionDesk", "open_desk"]

T = TypeVar("T")


@dataclass
class Attempt:
    """One attempt of a task, and all that was reported of it so far."""

    desk: "SessionDesk"
    id: AttemptId
    folder: Path
    inbox: trio.MemoryReceiveChannel[Report]
    reports: list[Report] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)

    @property
    def events(self) -> list[SessionEvent]:
        return [report.event for report in self.reports if isinstance(report, SessionReport)]

    def of(self, kind: type[T]) -> list[T]:
        """The events of this kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def spool(self) -> str:
        return (self.folder / "session").read_text()

    @property
    def log(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads((self.folder / "session-events.json").read_bytes())["events"]
        return entries

    async def until(self, kind: type[T], count: int = 1) -> T:
        """The ``count``-th event of this kind, as soon as it is told."""
        while len(self.of(kind)) < count:
            self.reports.append(await self.inbox.receive())
        return self.of(kind)[count - 1]

    async def end(self) -> Ended:
        while not self.reports or not isinstance(self.reports[-1], Ended):
            self.reports.append(await self.inbox.receive())
        ended = self.reports[-1]
        assert isinstance(ended, Ended)
        return ended

    async def stop(self, grace: float = 10.0, reason: EndReason = "stop") -> None:
        await self.desk.asks.send(Ask(Stop(attempt=self.id, grace=grace, reason=reason)))


@dataclass
class SessionDesk:
    folder: FleetFolder
    agent: Agent
    directory: Path
    asks: trio.MemorySendChannel[KeeperAsk]
    left: trio.Event
    count: int = 0

    async def leave(self) -> None:
        """As if callboard was killed."""
        self.left.set()
        await trio.sleep_forever()

    async def spawn(
        self,
        *prompts: str,
        permissions: Sequence[PermissionRule] = (),
        directory: Path | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> Attempt:
        """An attempt whose session is there, or could not be made; see `Attempt.answer`."""
        self.count += 1
        prompting = Prompting(agent=self.agent, prompts=prompts, permissions=tuple(permissions), **more)
        cwd = str(directory or self.directory)
        task = Task(id=TaskId(f"t{self.count}"), command=(), source="session", cwd=cwd, prompting=prompting)
        return await self.start(StartWorker(task, 1, AttemptId(secrets.token_hex(16))), timeout)

    async def resume(self, attempt: Attempt, *prompts: str, **more: Any) -> Attempt:
        """What is left of an attempt of another desk; what that one reported and nobody has read is not recorded."""
        prompting = Prompting(agent=self.agent, prompts=prompts, **more)
        name = attempt.folder.parent.name
        task = Task(id=TaskId(name), command=(), source="session", cwd=str(self.directory), prompting=prompting)
        started = WorkerStarted(
            at=time.time(), worker=WorkerId(name), attempt=1, pid=0, start_ticks=0, boot_id="", pid_namespace=0
        )
        left = OpenAttempt(
            task=task.id,
            number=1,
            id=attempt.id,
            started=started,
            covered={},
            epoch=2,
            told=True,
            silent_since=started.at,
            seen_at=started.at,
            session_told=sum(not getattr(event, "resumed", False) for event in attempt.events),
        )
        return await self.start(StartWorker(task, 1, attempt.id, left), None)

    async def start(self, order: StartWorker, timeout: float | None) -> Attempt:
        folder = self.folder.attempt(WorkerId(order.task.id), order.attempt)
        folder.mkdir(parents=True, exist_ok=True)
        status = self.folder.status(order.id)
        status.parent.mkdir(parents=True, exist_ok=True)
        request = Spawn(
            attempt=order.id,
            executable="",
            argv=(),
            cwd=order.task.cwd,
            env=(),
            stdin=Stdin("none"),
            status=str(status),
            attached=True,
            timeout=timeout,
            grace=10.0,
            linger=1.0,
            resume=order.open is not None,
        )
        reports, inbox = trio.open_memory_channel[Report](10_000)
        send, answer = trio.open_memory_channel[Answer](1)
        attempt = Attempt(self, order.id, folder, inbox)
        await self.asks.send(AskSpawn(request, send, reports, order))
        attempt.answer = await answer.receive()
        return attempt


@asynccontextmanager
async def open_desk(
    folder: Path,
    agent: Agent,
    directory: Path,
    *,
    environ: dict[str, str],
    patience: float = 25.0,
    look_every: float = 30.0,
) -> AsyncIterator[SessionDesk]:
    """Sessions are in ``directory`` if not said otherwise. What is asked of the keeper, nobody answers."""
    asks, inbox = trio.open_memory_channel[KeeperAsk](16)
    keeper, to_keeper = trio.open_memory_channel[KeeperAsk](16)
    fleet = FleetFolder(folder)
    events, appends = trio.open_memory_channel[Append](1000)
    source = SessionSource(
        fleet=FleetId("f" * 32),
        folder=fleet,
        environ=environ,
        asks=inbox,
        keeper=keeper,
        outbox=events,
        patience=patience,
        look_every=look_every,
    )
    left = trio.Event()
    with keeper, to_keeper, events, appends:
        async with trio.open_nursery() as outer:
            outer.start_soon(_cancel_when, left, outer.cancel_scope)
            async with trio.open_nursery() as nursery:
                await nursery.start(source.run)
                with asks:
                    yield SessionDesk(fleet, agent, directory, asks, left)
            outer.cancel_scope.cancel(reason="all is done")


async def _cancel_when(left: trio.Event, scope: trio.CancelScope) -> None:
    await left.wait()
    scope.cancel(reason="the test leaves it")
