"""A ``callboard up`` that is killed again and again, while durable workers talk, and clients listen and want more."""

import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import trio

from actors.journal_file import read_records
from protocols.commands import ShutDown, SpawnWorker
from protocols.event_codec import encode_record
from protocols.events import AttemptStarting, Record, TaskStatusChanged, WorkerExited, WorkerOutput
from protocols.ids import WorkerId
from protocols.layout import FleetFolder, StateFolder
from protocols.ledger import OVER
from protocols.port_params import Wanted
from supervisor.client import Client, connect_unix_socket, open_client
from tests.running import start

__all__ = ["Standing"]

_FIRST = 60.0  # seconds until it listens: a machine may be busy beyond measure
_ROUND = 300  # records between two kills, at most
_NEW = 6  # tasks that are asked for around each kill
_EVERY = 0.05
_LEAST = 40
_SHORT = 3
"""Lines that a worker writes at least, and one that comes later writes."""
_TALKER = """
import os, sys, time
name, least, every, stop = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
number = 0
while number < least or not (stop == "-" or os.path.exists(stop)):
    os.write(1, b"%s %d\\n" % (name.encode(), number))
    number += 1
    time.sleep(every)
with open(name + ".said", "x") as file:
    file.write(str(number))
"""


@dataclass
class _Listener:
    """One client, and all that it was told."""

    client: Client
    records: list[Record] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    """Tasks of whose end it knows."""
    news: trio.Event = field(default_factory=trio.Event)

    async def listen(self) -> None:
        async with self.client.subscribe(Wanted(workers="all"), after=0) as feed:
            async for records in feed:
                self.records += records
                for record in records:
                    event = record.event
                    if isinstance(event, TaskStatusChanged) and event.status in OVER:
                        self.over.add(event.task)
                self.news.set()
                self.news = trio.Event()

    async def until_told(self, count: int) -> None:
        while len(self.records) < count:
            await self.news.wait()

    async def until_over(self, tasks: set[str]) -> None:
        while not tasks <= self.over:
            await self.news.wait()


@dataclass
class Standing:
    """``folder`` is empty, and keeps all that happens. ``workers`` talk until the last kill is over."""

    folder: Path
    seed: int
    kills: int
    workers: int = 32
    clients: int = 10
    _wanted: list[str] = field(default_factory=list)
    """All tasks that were asked for and promised."""
    _heard: list[list[Record]] = field(default_factory=list)
    _process: "Popen[bytes] | None" = None

    def play(self) -> list[str]:
        """Return what is wrong; nothing runs any more then, if nothing is."""
        with self._ended():
            self._begin()
            trio.run(self._play)
            assert self._process is not None
            code = self._process.wait(_FIRST)
        faults = [] if code == 0 else [f"exit code {code}: {(self.folder / 'stderr').read_text()}"]
        return faults + list(self._faults())

    def _begin(self) -> None:
        self._process = start(self.folder, ["up"])

    @contextmanager
    def _ended(self) -> Iterator[None]:
        try:
            yield
        finally:
            (self.folder / "stop").touch()
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    async def _play(self) -> None:
        dice = random.Random(self.seed)
        async with trio.open_nursery() as nursery:
            listeners = [_Listener(await nursery.start(self._connected)) for _ in range(self.clients)]
            for listener in listeners:
                nursery.start_soon(listener.listen)
            async with trio.open_nursery() as asking:
                for number in range(self.workers):
                    asking.start_soon(
                        self._spawn, listeners[number % self.clients].client, f"w{number}", _LEAST, "stop"
                    )
            for each in range(self.kills):
                await self._strike(each, listeners, dice)
            (self.folder / "stop").touch()
            for listener in listeners:
                await listener.until_over(set(self._wanted))
            await listeners[0].client.shut_down(ShutDown())
            self._heard = [listener.records.copy() for listener in listeners]
            nursery.cancel_scope.cancel(reason="all is over")

    async def _connected(self, *, task_status: trio.TaskStatus[Client]) -> None:
        socket = StateFolder(self.folder / ".callboard").port_socket
        async with open_client("up", connect_unix_socket(socket), _FIRST) as client:
            task_status.started(client)
            await trio.sleep_forever()

    async def _strike(self, number: int, listeners: list[_Listener], dice: random.Random) -> None:
        """Kill it somewhere between a few wishes, and start it again; return when all of them are done."""
        first = listeners[0]
        await first.until_told(len(first.records) + dice.randint(1, _ROUND))
        async with trio.open_nursery() as asking:
            for wish in range(_NEW):
                client = dice.choice(listeners).client
                asking.start_soon(self._spawn, client, f"k{number}-{wish}", _SHORT, "-")
            for _ in range(dice.choice((0, 1, 10, 100, 1000))):
                await trio.lowlevel.checkpoint()
            assert self._process is not None
            self._process.send_signal(signal.SIGKILL)
            await trio.to_thread.run_sync(self._process.wait)
            self._begin()
        for listener in listeners:
            await listener.until_told(len(first.records))

    async def _spawn(self, client: Client, name: str, least: int, stop: str) -> None:
        talker = [sys.executable, "-I", "-S", "-c", _TALKER, name, str(least), str(_EVERY), stop]
        await client.spawn(SpawnWorker(task={"id": name, "command": talker}, cwd=str(self.folder)))
        self._wanted.append(name)

    def _faults(self) -> Iterator[str]:
        (root,) = [entry for entry in (self.folder / ".callboard").iterdir() if (entry / "fleet.json").exists()]
        folder = FleetFolder(root)
        journal = list(read_records(folder.journal, 0))
        if [record.seq for record in journal] != list(range(1, len(journal) + 1)):
            yield "the numbers of the journal have holes"
        texts = [encode_record(record) for record in journal]
        for number, heard in enumerate(self._heard):
            if [encode_record(record) for record in heard] != texts[: len(heard)]:
                yield f"client {number} heard something else than the journal tells"
        for name in self._wanted:
            yield from _faults_of(name, folder, journal, self.folder)
        begun = {str(record.event.worker) for record in journal if isinstance(record.event, AttemptStarting)}
        if more := begun - set(self._wanted):
            yield f"nobody wanted {sorted(more)}"


def _faults_of(name: str, folder: FleetFolder, journal: list[Record], work: Path) -> Iterator[str]:
    """What is wrong with a worker and all that is told of it."""
    mine = [record.event for record in journal if getattr(record.event, "worker", None) == name]
    every = [event for event in mine if isinstance(event, WorkerExited)]
    never = {end.attempt for end in every if end.reason == "orphaned" and end.started_at is None}  # killed before that
    begun = [event.attempt for event in mine if isinstance(event, AttemptStarting) and event.attempt not in never]
    ends = [end for end in every if end.attempt not in never]
    if len(begun) != 1 or [end.code for end in ends] != [0]:
        yield f"{name}: beginnings {begun}, ends {ends}"
        return
    said = work / f"{name}.said"
    lines = int(said.read_text()) if said.exists() else -1
    spool = folder.spool(WorkerId(name), begun[0], "stdout").read_bytes()
    if spool != b"".join(b"%s %d\n" % (name.encode(), number) for number in range(lines)):
        yield f"{name}: it said {lines} lines, and its spool has {len(spool)} bytes of something else"
    at = 0
    for event in mine:
        if isinstance(event, WorkerOutput):
            if event.offset != at:
                yield f"{name}: bytes from {event.offset} are told behind those up to {at}"
            at = event.offset + event.length
    if at != len(spool):
        yield f"{name}: {at} of {len(spool)} bytes are told"
