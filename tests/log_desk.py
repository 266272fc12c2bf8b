"""The source of log files with real files, a keeper that a test plays, and what it reports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from actors.orders import Answer, Ask, AskSpawn, KeeperAsk
from actors.sources.logfile import LogfileSource
from protocols.ids import WorkerId
from protocols.keeper import Ended, Report, Request, Spawn, Spawned, Stdin, Stop
from protocols.kinds import EndReason
from protocols.layout import FleetFolder
from protocols.plan import Logfile
from tests.surroundings import start

__all__ = ["LogDesk", "Served", "ended", "open_log_desk"]

_R = TypeVar("_R")
_AT = 5.0


@dataclass
class Served:
    """One attempt. ``told`` is what was reported so far."""

    desk: "LogDesk"
    request: Spawn
    spool: Path
    answers: trio.MemoryReceiveChannel[Answer]
    reports: trio.MemoryReceiveChannel[Report]
    told: list[Report] = field(default_factory=list)

    async def answer(self) -> Answer:
        return await self.answers.receive()

    async def spawned(self) -> Spawned:
        answer = await self.answers.receive()
        assert answer.error is None
        return msgspec.json.decode(answer.ok, type=Spawned)

    async def next(self, kind: type[_R]) -> _R:
        """The next report of this kind; others before it are noted."""
        while True:
            report = await self.reports.receive()
            self.told.append(report)
            if isinstance(report, kind):
                return report

    async def copied(self, text: bytes) -> None:
        """Return when this is all that is in the spool."""
        while not (self.spool.exists() and self.spool.read_bytes() == text):  # noqa: ASYNC110 - a file tells nobody
            await trio.sleep(0.005)

    async def copied_more_than(self, size: int) -> None:
        while not (self.spool.exists() and self.spool.stat().st_size > size):  # noqa: ASYNC110 - a file tells nobody
            await trio.sleep(0.005)

    async def stop(self, reason: EndReason = "stop") -> None:
        await self.desk.asks.send(Ask(Stop(attempt=self.request.attempt, grace=3.0, reason=reason)))

    async def followed(self) -> None:
        """Return when the file that is there was looked at."""
        while not self.spool.with_name("log.origin").exists():  # noqa: ASYNC110 - a file tells nobody
            await trio.sleep(0.005)


@dataclass
class LogDesk:
    folder: Path
    asks: trio.MemorySendChannel[KeeperAsk]
    keeper: trio.MemoryReceiveChannel[KeeperAsk]
    served: list[Served] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def append(self, data: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data)

    async def serve(
        self,
        name: str = "a",
        *,
        command: bool = False,
        until: str = "",
        appear_within: float = 3600.0,
        resume: bool = False,
        timeout: float | None = None,
        path: Path | None = None,
    ) -> Served:
        """Ask for an attempt that follows the log file."""
        log = Logfile(str(path or self.log), appear_within, until)
        order = start(name, source="logfile", logfile=log)
        if not command:
            order = replace(order, task=msgspec.structs.replace(order.task, command=()))
        spool = FleetFolder(self.folder).spool(WorkerId(name), 1, "log")
        spool.parent.mkdir(parents=True, exist_ok=True)
        request = Spawn(
            attempt=order.id,
            executable="/bin/true",
            argv=order.task.command,
            cwd="/",
            env=(),
            stdin=Stdin("none"),
            status="/nowhere",
            attached=True,
            timeout=timeout,
            grace=1.0,
            linger=0.05,
            resume=resume,
        )
        to_answer, answers = trio.open_memory_channel[Answer](1)
        to_report, reports = trio.open_memory_channel[Report](64)
        await self.asks.send(AskSpawn(request, to_answer, to_report, order))
        self.served.append(Served(self, request, spool, answers, reports))
        return self.served[-1]

    async def spawns(self) -> AskSpawn:
        """What the keeper is asked to start; it does."""
        ask = await self.keeper.receive()
        assert isinstance(ask, AskSpawn)
        await ask.answer.send(Answer(msgspec.json.encode(Spawned(pid=7, start_ticks=8, at=_AT))))
        return ask

    async def told(self) -> Request:
        """What the keeper is told."""
        ask = await self.keeper.receive()
        assert isinstance(ask, Ask)
        return ask.request


def ended(
    ask: AskSpawn, code: int | None = 0, *, signal: str | None = None, reason: EndReason = "exit", output: int = 0
) -> Ended:
    """What the keeper says last."""
    return Ended(
        attempt=ask.request.attempt,
        code=code,
        signal=signal,
        exited_at=_AT,
        at=_AT,
        reason=reason,
        stdout_bytes=output,
        stderr_bytes=0,
        swept=(),
    )


@asynccontextmanager
async def open_log_desk(folder: Path) -> AsyncIterator[LogDesk]:
    """The source runs in the body, and has to end when nobody asks any more."""
    asks, to_source = trio.open_memory_channel[KeeperAsk](8)
    to_keeper, keeper = trio.open_memory_channel[KeeperAsk](8)
    source = LogfileSource(folder=FleetFolder(folder), asks=to_source, keeper=to_keeper, now=lambda: _AT)
    async with trio.open_nursery() as nursery:
        await nursery.start(source.run)
        async with asks, keeper, to_keeper:
            yield LogDesk(folder, asks, keeper)
