"""Tasks that do nothing, in a random graph, through orchestrator and ledger: how many a second, and how soon."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import trio

from actors.ledger import open_file_ledger
from actors.messages import Append
from actors.orchestrator import Orchestrator
from actors.orders import Decision, EndFleet, FleetEmpty, Order, StartWorker, WorkerEnded
from protocols.events import WorkerExited
from protocols.ids import RunId, TaskId, WorkerId
from protocols.plan import Plan, Task
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.running import scratch

__all__ = ["measure"]

_MB = 1e6
_CHAIN = 300
_BARE = 500
"""Each costs what the disk takes to write, however many there are."""
_NEAR = 100
"""A task needs some of so many before it."""


class Measured(NamedTuple):
    seconds: float
    delays: list[float]
    """Seconds from the end of the last need of a task to its order to start."""
    peak: float
    """Bytes of the process at most."""


def measure(*, quick: bool) -> list[Figure]:
    rounds, tasks = (1, 2000) if quick else (3, 10_000)
    rates, bare, chains, peaks, plain = [], [], [], [], []
    for _ in range(rounds):
        plain.append(_apart("random", 1).peak)
        bare.append(_bare(_BARE))
        run = _apart("random", tasks)
        rates.append(tasks / run.seconds)
        peaks.append(run.peak)
        chains.append(_apart("chain", _CHAIN).delays)
    return [
        Figure(name=f"graph: {tasks} tasks, to 2 bare transactions each", unit="tasks/s", samples=rates,
               references=bare),
        Figure(name="graph: end of the last need to start p50", unit="ms",
               samples=[1000 * percentile(delays, 50) for delays in chains]),
        Figure(name="graph: end of the last need to start p99", unit="ms",
               samples=[1000 * percentile(delays, 99) for delays in chains]),
        Figure(name=f"graph: memory for {tasks} tasks, RSS", unit="MB",
               samples=[(peak - least) / _MB for peak, least in zip(peaks, plain, strict=True)]),
    ]  # fmt: skip


def _bare(tasks: int) -> float:
    """Tasks per second where each is nothing but a claim and an end: two transactions that are on the disk."""
    with scratch() as folder, closing(sqlite3.connect(folder / "bare", isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE tasks (id, state);")
        db.executemany("INSERT INTO tasks VALUES (?, 0)", [(number,) for number in range(10)])
        began = time.perf_counter()
        for _ in range(2 * tasks):
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE tasks SET state = state + 1 WHERE id = 1")
            db.execute("COMMIT")
        return tasks / (time.perf_counter() - began)


def _apart(shape: str, tasks: int) -> Measured:
    """In a process of its own."""
    with scratch() as folder:
        command = [sys.executable, "-m", "tests.benchmarks.graph", shape, str(tasks), str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Measured)


def _make(shape: str, count: int) -> Plan:
    random = Random(16)
    ids = [TaskId(f"t{number}") for number in range(count)]
    needs: list[tuple[TaskId, ...]] = []
    for number in range(count):
        near = ids[max(0, number - (1 if shape == "chain" else _NEAR)) : number]
        wanted = min(1 if shape == "chain" else random.choice((0, 1, 1, 2, 3)), len(near))
        needs.append(tuple(random.sample(near, wanted)))
    tasks = (Task(id=task, command=("true",), needs=wanted) for task, wanted in zip(ids, needs, strict=True))
    return Plan(tasks=tuple(tasks), concurrency=64)


async def _work(
    plan: Plan, orders: trio.MemoryReceiveChannel[Order], decisions: trio.MemorySendChannel[Decision]
) -> list[float]:
    """Workers that end as soon as they are started."""
    ended: dict[TaskId, float] = {}
    needs = plan.needs()
    delays: list[float] = []
    async for order in orders:
        match order:
            case StartWorker(task):
                if needs[task.id]:
                    delays.append(time.perf_counter() - max(ended[need] for need in needs[task.id]))
                ended[task.id] = time.perf_counter()
                await decisions.send(WorkerEnded(_exited(order)))
            case EndFleet():
                await decisions.send(FleetEmpty(()))
                return delays
            case _:
                raise AssertionError(order)
    return delays


def _exited(order: StartWorker) -> WorkerExited:
    return WorkerExited(
        at=0.0,
        worker=WorkerId(order.task.id),
        attempt=order.attempt,
        code=0,
        signal=None,
        reason="exit",
        started_at=0.0,
        ended_at=0.0,
        stdout_bytes=0,
        stderr_bytes=0,
    )


async def _run(plan: Plan, folder: Path) -> Measured:
    orders, to_roster = trio.open_memory_channel[Order](64)
    decisions, inbox = trio.open_memory_channel[Decision](64)
    appends, to_journal = trio.open_memory_channel[Append](1024)
    delays: list[float] = []

    async def note() -> None:
        async for append in to_journal:
            if append.committed is not None:
                append.committed.set()

    async def work() -> None:
        delays.extend(await _work(plan, to_roster, decisions))

    async with open_file_ledger(folder / "ledger", lambda text: None) as ledger, trio.open_nursery() as nursery:
        nursery.start_soon(note)
        nursery.start_soon(work)
        orchestrator = Orchestrator(
            run_id=RunId("aaaaaaaa"),
            plan=plan,
            plan_path="plan.toml",
            version="0",
            pid=1,
            ledger=ledger,
            inbox=inbox,
            roster=orders,
            outbox=appends,
        )
        began = time.perf_counter()
        async with appends:
            await orchestrator.run()
        seconds = time.perf_counter() - began
    return Measured(seconds, delays, _peak())


def _peak() -> float:
    """Of our memory since this program began; ``getrusage`` counts what was before too."""
    status = Path("/proc/self/status").read_text()
    return 1024.0 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


if __name__ == "__main__":
    shape, count, where = sys.argv[1:]
    sys.stdout.buffer.write(msgspec.json.encode(trio.run(_run, _make(shape, int(count)), Path(where))))
