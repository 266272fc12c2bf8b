"""The port of a ``callboard up``: calls, pushes, idle connections, and from an event to who wants to know.

What is a ratio is one beside trio-websocket as it comes, with the same clients and messages of the same size.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from protocols.commands import SpawnWorker, StopTask
from protocols.layout import StateFolder
from protocols.port_file import PortFile
from supervisor.client import connect_unix_socket, open_client
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.port_load import Load, Seen
from tests.benchmarks.processes import memory
from tests.benchmarks.programs import Programs
from tests.benchmarks.running import CALLBOARD, scratch

__all__ = ["measure"]

_TALKING, _TALK_EVERY = 64, 10
"""Workers, and milliseconds between two lines of one."""
_SLEEPING = 200
_AT_HAND = 2000
"""Records that the port keeps in memory, and some more."""
_SETTLING = 2.0
_START = 60.0
_CALL = "system.info"


@dataclass(frozen=True, slots=True)
class _Server:
    """One that is measured."""

    process: "subprocess.Popen[bytes]"
    url: str
    """Its WebSocket."""
    token: str = ""

    def load(self, kind: str, **more: object) -> Load:
        said = {"kind": kind, "url": self.url, "token": self.token, **more}
        return msgspec.convert(said, Load)

    def see(self, kind: str, **more: object) -> Seen:
        done = subprocess.run(_loading(self.load(kind, **more)), stdout=subprocess.PIPE, check=True)
        return msgspec.json.decode(done.stdout, type=Seen)

    def idle(self, connections: int) -> float:
        """Bytes for each of so many connections that do nothing."""
        before = memory(self.process.pid).pss
        command = _loading(self.load("idle", connections=connections))
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdout.readline()
            after = memory(self.process.pid).pss
            process.communicate()
        return (after - before) / connections


def measure(*, quick: bool) -> list[Figure]:
    rounds, seconds, idle = (1, 2.0, 200) if quick else (5, 3.0, 1000)
    with scratch() as folder, _bare() as bare:
        with _up(folder / "talking") as (up, state):
            figures = _calls(up, bare, rounds, seconds)
            used = [(up.idle(idle), bare.idle(idle)) for _ in range(1 if quick else 2)]
            ours, theirs = zip(*used[:1], strict=True)
            figures.append(Figure(name=f"port: {idle} idle connections, each", unit="kB", at_most=30,
                                  samples=[each / 1000 for each in ours],
                                  references=[each / 1000 for each in theirs]))  # fmt: skip
            figures += _delays(up, state, folder, 5 * seconds)
            figures += _pushes(up, bare, state, rounds)
        with _up(folder / "sleeping") as (up, state):
            figures += _requests(up, state, folder, rounds, seconds)
    return figures


def _calls(up: _Server, bare: _Server, rounds: int, seconds: float) -> list[Figure]:
    figures = []
    for connections in (1, 16):
        pairs = []
        for _ in range(rounds):
            mine = up.see("calls", connections=connections, seconds=seconds, method=_CALL)
            params = {"size": round(mine.size) - 40}  # what is around the result
            other = bare.see("calls", connections=connections, seconds=seconds, method=_CALL, params=params)
            pairs.append((mine.per_second, other.per_second))
        name = f"port: {_CALL} on {connections} connection{'s' if connections > 1 else ''}"
        figures.append(_beside(name, pairs))
    return figures


def _pushes(up: _Server, bare: _Server, state: StateFolder, rounds: int) -> list[Figure]:
    """The latest records, which are at hand, to so many at once; and all that the journal holds, to one."""
    last = trio.run(_last, state)
    figures = []
    for subscribers in (1, 10, 100):
        seen = [_push(up, bare, subscribers, last - _AT_HAND, last) for _ in range(3 * rounds)]
        figures.append(_beside(f"port: records to {subscribers} subscriber{'s' if subscribers > 1 else ''}", seen))
    replayed = [_push(up, bare, 1, 0, last)[0] for _ in range(rounds)]
    figures.append(Figure(name="port: records of the journal to 1 subscriber", unit="/s", samples=replayed))
    return figures


def _push(up: _Server, bare: _Server, subscribers: int, after: int, last: int) -> tuple[float, float]:
    """Records per second, and those in messages of the same size and number that nobody had to find."""
    params = {"subscription": "s", "after": after, "workers": "all"}
    more = {"connections": subscribers, "count": last, "records": True}
    mine = up.see("push", method="events.subscribe", params=params, **more)
    messages = max(mine.messages // subscribers, 1)
    same = {"size": round(mine.size), "count": messages}
    other = bare.see("push", connections=subscribers, method="push", params=same, count=messages)
    return mine.per_second, other.per_second * (last - after) / messages


def _beside(name: str, pairs: Sequence[tuple[float, float]]) -> Figure:
    ours, theirs = zip(*pairs, strict=True)
    return Figure(name=name, unit="/s", samples=ours, references=theirs, at_least=0.8, of_ratio=True)


def _delays(up: _Server, state: StateFolder, folder: Path, seconds: float) -> list[Figure]:
    tick = Programs(folder).command("tick")
    count = str(int((2 * seconds + 60) * 1000 / _TALK_EVERY))
    talk = [(*tick, count, str(_TALK_EVERY), str(each * _TALK_EVERY // _TALKING)) for each in range(_TALKING)]
    trio.run(_spawn, state, talk)
    time.sleep(_SETTLING)
    params = {"subscription": "s", "workers": "all"}
    pushed = up.see("delays", seconds=seconds, method="events.subscribe", params=params, event="worker.output")
    path = "/api/events?topics=log&workers=all"
    streamed = up.see("events", seconds=seconds, method=path, event="worker.output")
    trio.run(_stop, state, _TALKING)
    name = f"port: event to subscriber, {_TALKING} workers, a line each {_TALK_EVERY} ms"
    return [*_both(f"{name}, WebSocket", pushed.delays), *_both(f"{name}, SSE", streamed.delays)]


def _both(name: str, delays: Sequence[float]) -> list[Figure]:
    return [
        Figure(name=f"{name}: p50", unit="ms", samples=[percentile(delays, 50)]),
        Figure(name=f"{name}: p99", unit="ms", samples=[percentile(delays, 99)], at_most=25),
    ]


def _requests(up: _Server, state: StateFolder, folder: Path, rounds: int, seconds: float) -> list[Figure]:
    trio.run(_spawn, state, [("sleep", "1000")] * _SLEEPING)
    figures = []
    for connections in (1, 16):
        seen = [
            up.see("requests", connections=connections, seconds=seconds, method="/api/workers") for _ in range(rounds)
        ]
        name = f"port: GET /api/workers of {_SLEEPING} workers, {connections} at once"
        figures.append(Figure(name=name, unit="/s", samples=[each.per_second for each in seen]))
        delays = [percentile(each.delays, 99) for each in seen]
        figures.append(Figure(name=f"{name}: p99", unit="ms", samples=delays))
    trio.run(_stop, state, _SLEEPING)
    return figures


async def _spawn(state: StateFolder, commands: Sequence[Sequence[str]]) -> None:
    async with open_client("up", connect_unix_socket(state.port_socket)) as client:
        for number, command in enumerate(commands):
            task = {"id": f"w{number}", "command": list(command)}
            await client.spawn(SpawnWorker(task=task, cwd=str(state.root.parent)))


async def _stop(state: StateFolder, count: int) -> None:
    async with open_client("up", connect_unix_socket(state.port_socket)) as client:
        for number in range(count):
            await client.stop(StopTask(task=f"w{number}", grace=0))


async def _last(state: StateFolder) -> int:
    async with open_client("up", connect_unix_socket(state.port_socket)) as client:
        return (await client.info()).last_seq


@contextmanager
def _up(folder: Path) -> Iterator[tuple[_Server, StateFolder]]:
    folder.mkdir()
    (folder / "callboard.toml").write_text("[up]\nconcurrency = 256\n[port]\nport = 0\n")
    state = StateFolder(folder / ".callboard")
    with subprocess.Popen([CALLBOARD, "up"], cwd=folder, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + _START
            while not state.port_file.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("callboard up does not come up")
                time.sleep(0.02)
            told = msgspec.json.decode(state.port_file.read_bytes(), type=PortFile)
            yield _Server(process, told.url.replace("http", "ws", 1) + "/rpc", state.token.read_text().strip()), state
        finally:
            process.terminate()
            process.wait(_START)


@contextmanager
def _bare() -> Iterator[_Server]:
    command = [sys.executable, "-m", "tests.benchmarks.bare_port"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield _Server(process, f"ws://127.0.0.1:{int(process.stdout.readline())}/rpc")
        finally:
            process.kill()


def _loading(load: Load) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.port_load", msgspec.json.encode(load).decode()]
