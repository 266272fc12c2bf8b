"""What the live display costs: the same records told to nobody, and to a screen with all workers on it."""

import fcntl
import os
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import trio

from actors.display import LiveText
from actors.hub import Hub
from actors.journal_file import open_journal
from actors.live.screen import Screen
from actors.messages import Lagged, Subscribe
from protocols.events import (
    AttemptStarting,
    Event,
    Record,
    RunStarted,
    TaskStatusChanged,
    WorkerOutput,
    WorkerProgress,
    WorkerStarted,
)
from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.layout import FleetFolder
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.running import scratch

__all__ = ["measure"]

_WORKERS = 64
_COLUMNS, _ROWS = 140, 70
_EVERY = 0.05
"""Seconds between two lines of a worker: something moves in every frame."""
_PROGRESS_EVERY = 4
_SETTLING = 1.0
_PROBE = 0.002
_FRAME = b"\x1b[?2026h"


class _Cost(NamedTuple):
    cpu: float
    """Percent of a core."""
    lag: float
    """How late a task of the loop wakes up, in ms: the 99th percentile."""


def measure(*, quick: bool) -> list[Figure]:
    rounds, seconds = (1, 5) if quick else (5, 10)
    without: list[_Cost] = []
    shown: list[_Cost] = []
    frames: list[float] = []
    for _ in range(rounds):
        without.append(_observe(seconds, None))
        with _terminal() as (fd, drawn):
            shown.append(_observe(seconds, fd))
            frames.append(drawn() / (seconds + _SETTLING))
    name = f"display, {_WORKERS} workers"
    pairs = list(zip(shown, without, strict=True))
    return [
        Figure(name=f"{name}: frames", unit="/s", samples=frames, at_most=20.5),
        Figure(name=f"{name}: CPU", unit="% of a core", samples=[a.cpu - b.cpu for a, b in pairs], at_most=5),
        Figure(name=f"{name}: added lag p99", unit="ms", samples=[a.lag - b.lag for a, b in pairs], at_most=5),
    ]


@contextmanager
def _terminal() -> Iterator[tuple[int, "_Drawn"]]:
    """A terminal that is read all the time, and how many frames it has got."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    with (
        scratch() as folder,
        (folder / "drawn").open("wb") as drawn,
        subprocess.Popen(["cat"], stdin=master, stdout=drawn, stderr=subprocess.DEVNULL) as reader,
    ):
        os.close(master)
        yield slave, _Drawn(folder / "drawn")
        os.close(slave)
        reader.terminate()  # the claim on the terminal lasts as long as we do


@dataclass(frozen=True)
class _Drawn:
    path: Path

    def __call__(self) -> int:
        return self.path.read_bytes().count(_FRAME)


def _observe(seconds: float, fd: int | None) -> _Cost:
    with scratch() as root, _Fleet.begin(FleetFolder(root)) as fleet:
        return trio.run(_host, fleet, seconds, fd)


async def _host(fleet: "_Fleet", seconds: float, fd: int | None) -> _Cost:
    records, to_hub = trio.open_memory_channel[Record](1024)
    requests, to_admit = trio.open_memory_channel[Subscribe](4)
    lags: list[float] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(Hub(inbox=to_hub, requests=to_admit).run)
        if fd is None:
            nursery.start_soon(_ignore, requests)
        else:
            nursery.start_soon(Screen(text=LiveText(), folder=fleet.folder, subscribe=requests, fd=fd).run)
        async with records:
            await trio.sleep(_SETTLING)  # until it has subscribed: what comes before is in no journal
            with trio.move_on_after(_SETTLING):
                await fleet.talk(records)
            before, began = time.process_time(), time.monotonic()
            with trio.move_on_after(seconds):
                async with trio.open_nursery() as observing:
                    observing.start_soon(_probe, lags)
                    await fleet.talk(records)
            cpu = (time.process_time() - before) / (time.monotonic() - began)
    return _Cost(100 * cpu, percentile(lags, 99))


async def _probe(lags: list[float]) -> None:
    while True:
        due = time.monotonic() + _PROBE
        await trio.sleep(_PROBE)
        lags.append(1000 * (time.monotonic() - due))


async def _ignore(requests: trio.MemorySendChannel[Subscribe]) -> None:
    outbox, inbox = trio.open_memory_channel[Record | Lagged](1024)
    await requests.send(Subscribe(outbox))
    async for _ in inbox:
        pass


@dataclass
class _Fleet:
    """Workers that each print a line at every beat; nothing of it is real but the files."""

    folder: FleetFolder
    seq: int
    spools: dict[str, int]
    sizes: dict[str, int] = field(default_factory=dict)
    beats: int = 0

    @classmethod
    @contextmanager
    def begin(cls, folder: FleetFolder) -> "Iterator[_Fleet]":
        names = [f"worker-{number:02}" for number in range(_WORKERS)]
        with ExitStack() as stack:
            spools: dict[str, int] = {}
            for name in names:
                folder.attempt(WorkerId(name), 1).mkdir(parents=True)
                path = folder.spool(WorkerId(name), 1, "stdout")
                spools[name] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                stack.callback(os.close, spools[name])
            with closing(open_journal(folder.journal)) as journal:
                written = journal.append(_beginning(names))
            yield cls(folder, written[-1].seq, spools, dict.fromkeys(names, 0))

    async def talk(self, records: trio.MemorySendChannel[Record]) -> None:
        due = trio.current_time()
        while True:
            self.beats += 1
            for name, fd in self.spools.items():
                await records.send(self._line(name, fd))
                if self.beats % _PROGRESS_EVERY == 0:
                    await records.send(self._progress(name))
            due += _EVERY
            await trio.sleep_until(due)

    def _line(self, name: str, fd: int) -> Record:
        line = b"[%3d%%] step %d of the work of %s goes on\n" % (self.beats % 101, self.beats, name.encode())
        os.write(fd, line)
        offset = self.sizes[name]
        self.sizes[name] += len(line)
        return self._record(
            WorkerOutput(
                at=time.time(), worker=WorkerId(name), attempt=1, stream="stdout", offset=offset, length=len(line)
            )
        )

    def _progress(self, name: str) -> Record:
        fraction, label = self.beats % 101 / 100, f"step {self.beats}"
        return self._record(
            WorkerProgress(at=time.time(), worker=WorkerId(name), attempt=1, fraction=fraction, label=label)
        )

    def _record(self, event: Event) -> Record:
        self.seq += 1
        return Record(self.seq, event)


def _beginning(names: list[str]) -> list[Event]:
    now = time.time()
    tasks = tuple(TaskId(name) for name in names)
    roles = dict.fromkeys(tasks, "coder")
    events: list[Event] = [RunStarted(at=now, run=RunId("b"), plan="p", tasks=tasks, pid=1, version="1", roles=roles)]
    for name in names:
        id_, worker = AttemptId(name), WorkerId(name)
        starting = AttemptStarting(at=now, worker=worker, attempt=1, id=id_, argv=("x",), cwd="/", timeout=600)
        started = WorkerStarted(at=now, worker=worker, attempt=1, pid=1, start_ticks=1, boot_id="", pid_namespace=1)
        events += [TaskStatusChanged(at=now, task=TaskId(name), status="running", attempt=1), starting, started]
    return events
