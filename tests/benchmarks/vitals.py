"""What a look at the processes of many workers costs."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from actors.keeper_process.procfs import read_process
from actors.vitals import Root, Sampler
from tests.benchmarks.figures import Figure

__all__ = ["measure"]

_WORKERS = 200
_BELOW = "sleep 600 & sleep 600 & wait"


def measure(*, quick: bool) -> list[Figure]:
    sweeps = 50 if quick else 500
    alone, three = shutil.which("sleep") or "/bin/sleep", "/bin/sh"
    with _workers(alone, "sleep", "600") as roots:
        numbers, trees = _sweep(roots, sweeps, tree=False), _sweep(roots, sweeps, tree=True)
    with _workers(three, "sh", "-c", _BELOW) as roots:
        threefold = _sweep(roots, sweeps, tree=True)
    return [
        Figure(name=f"vitals: numbers, each of {_WORKERS} workers", unit="µs", samples=numbers, at_most=10),
        Figure(name=f"vitals: tree, each of {_WORKERS} workers", unit="µs", samples=trees, at_most=50),
        Figure(name=f"vitals: tree, each of {_WORKERS} workers with two children", unit="µs", samples=threefold,
               at_most=50),
    ]  # fmt: skip


def _sweep(roots: dict[int, Root], sweeps: int, *, tree: bool) -> list[float]:
    """Microseconds of CPU time for each worker, of each sweep. Two before them find what there is, and keep it."""
    sampler, samples = Sampler[int](), []
    for _ in range(2):
        sampler.sweep(roots)
    for _ in range(sweeps):
        began = time.thread_time()
        sampler.sweep(roots, tree=tree)
        samples.append(1e6 * (time.thread_time() - began) / len(roots))
    sampler.close()
    return samples


@contextmanager
def _workers(program: str, *arguments: str) -> Iterator[dict[int, Root]]:
    pids: list[int] = []
    try:
        for _ in range(_WORKERS):
            pids.append(os.posix_spawn(program, arguments, os.environ, setsid=True))  # noqa: PERF401 - all that began end
        processes = [process for pid in pids if (process := read_process(pid)) is not None]
        yield {process.pid: Root(process.pid, process.start_ticks) for process in processes}
    finally:
        for pid in pids:
            os.killpg(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
