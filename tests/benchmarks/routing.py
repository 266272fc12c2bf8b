"""From the socket of an OpenCode server to the session that an event is about: throughput, delay and memory."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

import httpx
import msgspec
import trio

from actors.opencode_client import OpenCodeClient
from actors.session_messages import Connected, Disconnected, Endpoint, Look, Register, RouterInput, SessionInput
from actors.session_router import SessionRouter
from actors.stream_reader import StreamReader
from protocols.opencode import Envelope
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.processes import memory
from tests.benchmarks.running import scratch

__all__ = ["measure"]

_SESSIONS = [f"ses_{number:026}" for number in range(64)]
_HERE = Path(__file__).resolve().parent
_RECORDED = _HERE / "stream.jsonl"
_SESSION = b"$" * 30
_INBOX = 4096
_COLLECT = 0.005
_BATCH = 32
"""Events of a chunk, where they come in batches."""
_PACED, _PAUSE = 2000, 0.002


Take: TypeAlias = Callable[[Envelope], None]


class _Rate(NamedTuple):
    """Events per second."""

    ours: float
    bare: float
    node: float


@dataclass
class _Ended:
    """When the first session heard of the stream, and the last of its end."""

    first: float = 0.0
    last: float = 0.0
    left: int = len(_SESSIONS)
    all: trio.Event = field(default_factory=trio.Event)


def measure(*, quick: bool) -> list[Figure]:
    rounds, events = (1, 20_000) if quick else (5, 100_000)
    paced, many = (500, 100_000) if quick else (_PACED, 1_000_000)
    figures: list[Figure] = []
    with scratch() as folder:
        stream = folder / "stream.jsonl"
        count = _spread(stream)
        for name, size, goal in (("one event per chunk", 1, 0.3), (f"{_BATCH} events per chunk", _BATCH, 0.8)):
            rates = [_rates(stream, folder, events // count + 1, size) for _ in range(rounds)]
            figures += _throughput(f"routing, {len(_SESSIONS)} sessions, {name}", rates, goal)
        delays = _delays(stream, folder, paced // count + 1)
        grown = _growth(stream, folder, many // count + 1)
    return [
        *figures,
        Figure(name="routing: first byte to inbox p50", unit="ms", samples=[percentile(delays, 50)]),
        Figure(name="routing: first byte to inbox p99", unit="ms", samples=[percentile(delays, 99)]),
        Figure(name=f"routing: memory, the last 80% of {many} events", unit="MiB", samples=[grown], at_most=4),
    ]


def _throughput(name: str, rates: list[_Rate], goal: float) -> list[Figure]:
    ours = [each.ours for each in rates]
    figures = [Figure(name=f"{name}: beside bare httpx and msgspec", unit="/s", samples=ours,
                      references=[each.bare for each in rates], at_least=0.5, of_ratio=True)]  # fmt: skip
    if all(each.node for each in rates):
        figures.append(Figure(name=f"{name}: beside Node", unit="/s", samples=ours,
                              references=[each.node for each in rates], at_least=goal, of_ratio=True))  # fmt: skip
    return figures


def _spread(target: Path) -> int:
    """The recorded events once for each session, those of all mixed; how many."""
    lines = _RECORDED.read_bytes().splitlines()
    with target.open("wb") as file:
        for line in lines:
            for session in _SESSIONS:
                file.write(line.replace(_SESSION, session.encode()) + b"\n")
    return len(lines) * len(_SESSIONS)


@contextmanager
def _replay(stream: Path, rounds: int, size: int, pause: float = 0.0) -> Iterator[tuple[str, int]]:
    """The address of a server that replays, and how many events it does."""
    command = [sys.executable, "-I", "-S", str(_HERE / "replay.py"), str(stream), str(rounds), str(size), str(pause)]
    total = stream.read_bytes().count(b"\n") * rounds
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", total


def _rates(stream: Path, folder: Path, rounds: int, size: int) -> _Rate:
    with _replay(stream, rounds, size) as (url, total):
        ours = trio.run(_route, url, folder, total, lambda _: None)
    with _replay(stream, rounds, size) as (url, total):
        bare = trio.run(_bare, url, total)
    with _replay(stream, rounds, size) as (url, _):
        node = _node(url)
    return _Rate(ours, bare, node)


async def _route(url: str, folder: Path, total: int, take: Take, waiting: bool = False) -> float:
    """Events per second, from the first that is there until the last has been routed and the stream has ended."""
    to_router, inbox = trio.open_memory_channel[RouterInput](64)
    directories, to_reader = trio.open_memory_channel[str](1)
    looks, _looks = trio.open_memory_channel[Look](1)
    router = SessionRouter(
        inbox=inbox, looks=looks, directories=directories, folder=folder, limiter=trio.CapacityLimiter(1)
    )
    client = OpenCodeClient(Endpoint(url))
    reader = StreamReader(open_stream=client.stream, outbox=to_router, directories=to_reader)
    ended = _Ended()
    async with trio.open_nursery() as nursery:
        await nursery.start(router.run)
        inboxes: list[trio.MemoryReceiveChannel[SessionInput]] = []
        for session in _SESSIONS:
            outbox, events = trio.open_memory_channel[SessionInput](_INBOX)
            await to_router.send(Register(session, "/d", outbox))
            inboxes.append(events)
        if waiting:
            for events in inboxes:
                nursery.start_soon(_wait, events, take, ended)
        else:
            nursery.start_soon(_collect, inboxes, take, ended)
        await nursery.start(reader.run)
        await ended.all.wait()
        nursery.cancel_scope.cancel()
    assert router.counts.routed, "nothing came"
    assert not router.counts.dropped, "a session was too slow"
    return total / (ended.last - ended.first)


async def _collect(inboxes: list[trio.MemoryReceiveChannel[SessionInput]], take: Take, ended: _Ended) -> None:
    """What sessions do with their events is not measured: one task empties the inboxes of all."""
    while True:
        for inbox in inboxes:
            for _ in range(inbox.statistics().current_buffer_used):
                _note(inbox.receive_nowait(), take, ended)
        await trio.sleep(_COLLECT)


async def _wait(inbox: trio.MemoryReceiveChannel[SessionInput], take: Take, ended: _Ended) -> None:
    """As a session does it."""
    async for item in inbox:
        _note(item, take, ended)


def _note(item: SessionInput, take: Take, ended: _Ended) -> None:
    match item:
        case Envelope():
            take(item)
        case Connected():
            ended.first = ended.first or time.perf_counter()
        case Disconnected():
            ended.last = time.perf_counter()
            ended.left -= 1
            if not ended.left:
                ended.all.set()
        case _:
            pass


async def _bare(url: str, total: int) -> float:
    """The same bytes read by httpx and parsed by msgspec, and nothing else."""
    rest = b""
    count, began = 0, 0.0
    async with (
        httpx.AsyncClient(trust_env=False, timeout=None) as client,
        client.stream("GET", f"{url}/global/event") as response,
    ):
        async for chunk in response.aiter_raw():
            began = began or time.perf_counter()
            *blocks, rest = (rest + chunk).split(b"\n\n")
            for block in blocks:
                msgspec.json.decode(block[6:])
                count += 1
    assert count == total + 1, f"{count} of {total}"
    return total / (time.perf_counter() - began)


def _node(url: str) -> float:
    program = shutil.which("node")
    if program is None:
        return 0.0
    command = [program, str(_HERE / "routing.mjs"), url.rpartition(":")[2], *_SESSIONS]
    count, seconds = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    return int(count) / float(seconds)


def _delays(stream: Path, folder: Path, rounds: int) -> list[float]:
    """Milliseconds from when each event was written to the socket."""
    delays: list[float] = []

    def take(event: Envelope) -> None:
        stamp = event.payload.rpartition(b'"sent":"')[2][:16]
        delays.append((time.monotonic_ns() - int(stamp)) / 1e6)

    with _replay(stream, rounds, 1, _PAUSE) as (url, total):
        trio.run(_route, url, folder, total, take, True)
    return delays


def _growth(stream: Path, folder: Path, rounds: int) -> float:
    """MiB that this process holds more at the end than after a fifth of the events."""
    sizes: list[int] = []
    seen = 0

    def take(_: Envelope) -> None:
        nonlocal seen
        seen += 1
        if seen % every == 0:
            sizes.append(memory(os.getpid()).rss)

    with _replay(stream, rounds, _BATCH) as (url, total):
        every = total // 20
        trio.run(_route, url, folder, total, take)
    return (sizes[-1] - sizes[len(sizes) // 5]) / 2**20
