"""Many workers that do nothing: how long their start takes, and what they cost while they run."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from protocols.events import RunStarted, WorkerStarted, WorkerVerdict
from tests.benchmarks.figures import Figure
from tests.benchmarks.processes import Memory
from tests.benchmarks.running import RunningPlan, plan_text, running_plan, scratch

__all__ = ["measure"]

_MANY, _IDLE = 500, 200
_SETTLING = 3.0
_MB = 1e6


class _Spawned(NamedTuple):
    seconds: float
    memory: Memory


def measure(*, quick: bool) -> list[Figure]:
    rounds = 2 if quick else 5
    looped, spawned = [], []
    for _ in range(rounds):
        looped.append(_loop())
        spawned.append(_spawn())
    return [
        Figure(name=f"spawn: {_MANY} workers, to a posix_spawn loop", unit="s",
               samples=[each.seconds for each in spawned], references=looped, at_most=4, of_ratio=True),
        Figure(name=f"memory with {_MANY} workers, RSS", unit="MB",
               samples=[each.memory.rss / _MB for each in spawned], at_most=80),
        Figure(name=f"memory with {_MANY} workers, PSS", unit="MB",
               samples=[each.memory.pss / _MB for each in spawned]),
        Figure(name=f"CPU with {_IDLE} idle workers", unit="% of a core", samples=[_idle(10.0 if quick else 30.0)],
               at_most=1),
    ]  # fmt: skip


def _loop() -> float:
    sleep = shutil.which("sleep") or "/bin/sleep"
    pids = []
    began = time.perf_counter()
    try:
        for _ in range(_MANY):
            pids.append(os.posix_spawn(sleep, ["sleep", "600"], os.environ))  # noqa: PERF401 - all that began are ended
        return time.perf_counter() - began
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def _spawn() -> _Spawned:
    with _sleeping(_MANY) as run:
        run.until(RunStarted)
        began = time.perf_counter()
        run.until(WorkerStarted, _MANY)
        seconds = time.perf_counter() - began
        run.until(WorkerVerdict, _MANY)
        time.sleep(_SETTLING)
        return _Spawned(seconds, run.memory())


def _idle(seconds: float) -> float:
    """Percent of a core that supervisor and keeper use together."""
    with _sleeping(_IDLE) as run:
        run.until(WorkerStarted, _IDLE)
        time.sleep(_SETTLING)
        before, began = run.cpu(), time.perf_counter()
        time.sleep(seconds)
        return 100 * (run.cpu() - before) / (time.perf_counter() - began)


@contextmanager
def _sleeping(workers: int) -> Iterator[RunningPlan]:
    text = plan_text([(f"w{number}", ("sleep", "600")) for number in range(workers)])
    with scratch(in_memory=True) as folder, running_plan(text, folder) as run:
        yield run
