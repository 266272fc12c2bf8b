"""From a worker's write to a subscriber of the hub: what a busy fleet and a quiet one make of a line."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import trio

from actors.display import JsonText
from protocols.events import Record, WorkerOutput
from protocols.fleet_events import KeeperStarted
from protocols.ids import WorkerId
from protocols.layout import FleetFolder
from supervisor.app import Run
from supervisor.fleets import create_fleet
from supervisor.plans import load_plan
from supervisor.settings import load_settings
from supervisor.state import open_state
from supervisor.version import VERSION
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.programs import Programs
from tests.benchmarks.running import plan_text, scratch

__all__ = ["measure"]

_BUSY, _BUSY_EVERY = 64, 10
_QUIET, _QUIET_EVERY = 16, 1000
"""Workers, and milliseconds between two lines of one."""
_SETTLING = 2.0


class _Told(NamedTuple):
    at: int
    """When the subscriber had it, CLOCK_MONOTONIC in ns."""
    output: WorkerOutput


class _Arrivals(JsonText):
    """Shows nothing; notes when records come. What they say is looked at afterwards."""

    def __init__(self) -> None:
        self.told: list[_Told] = []
        self.keeper = 0
        self.began = trio.Event()

    async def show(self, record: Record, outbox: trio.MemorySendChannel[bytes]) -> None:
        if isinstance(record.event, WorkerOutput):
            self.told.append(_Told(time.monotonic_ns(), record.event))
        elif isinstance(record.event, KeeperStarted):
            self.keeper = record.event.pid
            self.began.set()


class _Observed(NamedTuple):
    delays: list[float]
    """Milliseconds of each line."""
    cpu: float
    """Percent of a core, supervisor and keeper together."""


def measure(*, quick: bool) -> list[Figure]:
    rounds, seconds = (1, 5) if quick else (3, 10)
    busy = [_observe(_BUSY, _BUSY_EVERY, seconds) for _ in range(rounds)]
    quiet = [_observe(_QUIET, _QUIET_EVERY, seconds) for _ in range(rounds)]
    return [
        *_figures(f"{_BUSY} workers, a line each {_BUSY_EVERY} ms", busy, p50=35, p99=80),
        Figure(name=f"{_BUSY} workers, a line each {_BUSY_EVERY} ms: CPU", unit="% of a core",
               samples=[each.cpu for each in busy], at_most=20),
        *_figures("a lone line of a quiet worker", quiet, p50=2, p99=10),
    ]  # fmt: skip


def _figures(name: str, observed: Sequence[_Observed], *, p50: float, p99: float) -> list[Figure]:
    return [
        Figure(
            name=f"{name}: p{percent}",
            unit="ms",
            samples=[percentile(each.delays, percent) for each in observed],
            at_most=bound,
        )
        for percent, bound in ((50, p50), (99, p99))
    ]


def _observe(workers: int, every: int, seconds: float) -> _Observed:
    with scratch() as folder:
        tick = Programs(folder).command("tick")
        count = int((seconds + 2 * _SETTLING) * 1000 / every)
        tasks = [
            (f"w{number}", (*tick, str(count), str(every), str(number * every // workers))) for number in range(workers)
        ]
        plan = folder / "plan.toml"
        plan.write_text(plan_text(tasks))
        return _run(plan, folder / "state", seconds)


def _run(plan: Path, state: Path, seconds: float) -> _Observed:
    """What ``callboard run`` does, with a subscriber of ours in the place of the display."""
    arrivals = _Arrivals()
    settings = load_settings(state.parent, overrides={"state": str(state)})
    loaded = load_plan(plan, state.parent)
    with create_fleet(open_state(state), plan=str(plan), cwd=str(state.parent), version=VERSION) as fleet:
        run = Run(fleet=fleet, loaded=loaded, settings=settings, text=arrivals)
        cpu = trio.run(_host, run, arrivals, seconds)
        return _Observed(_delays(arrivals.told, fleet.folder), cpu)


async def _host(run: Run, arrivals: _Arrivals, seconds: float) -> float:
    """Run to the end; return the use of CPU in the middle, in percent."""
    cpu = 0.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.run)
        await arrivals.began.wait()
        await trio.sleep(_SETTLING)
        arrivals.told.clear()  # the start of so many is another figure
        before, began = time.process_time() + cpu_seconds(arrivals.keeper), time.monotonic()
        await trio.sleep(seconds)
        cpu = time.process_time() + cpu_seconds(arrivals.keeper) - before
        cpu /= time.monotonic() - began
    return 100 * cpu


def _delays(told: Sequence[_Told], folder: FleetFolder) -> list[float]:
    """Each line holds the time of its write; the record that covers its end told it."""
    delays: list[float] = []
    for worker in {each.output.worker for each in told}:
        data = folder.spool(WorkerId(worker), 1, "stdout").read_bytes()
        for at, output in (each for each in told if each.output.worker == worker):
            end = output.offset + output.length
            lines = data[data.rfind(b"\n", 0, output.offset) + 1 : data.rfind(b"\n", 0, end) + 1].split()
            delays += [(at - int(line)) / 1e6 for line in lines]
    return delays
