"""Eight workers that print as fast as they can: how fast that is captured, at which cost, and whether all is there."""

import hashlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias, TypeVar

from protocols.events import RunStarted, WorkerExited, WorkerStarted
from protocols.ids import WorkerId
from protocols.kinds import Source
from protocols.layout import streams_of
from tests.benchmarks.figures import Figure
from tests.benchmarks.programs import Programs
from tests.benchmarks.running import plan_text, running_plan, scratch

__all__ = ["measure"]

_WORKERS = 8
_BLOCK = 8 * 1024
_GB = 1e9
_CHUNK = 1024 * 1024

T = TypeVar("T")
_Commands: TypeAlias = Sequence[Sequence[str]]


class _Captured(NamedTuple):
    seconds: float
    cpu: float
    differing: int
    """Streams that are not what the worker wrote."""


def measure(*, quick: bool) -> list[Figure]:
    return [*_measure_pipes(quick=quick), *_measure_terminals(quick=quick)]


def _measure_pipes(*, quick: bool) -> list[Figure]:
    rounds, size = (2, 64 << 20) if quick else (5, 256 << 20)
    total = _WORKERS * size / _GB
    with scratch() as folder:
        programs = Programs(folder)
        commands = _pouring(programs, size)
        copier = programs.compiled("pipe_copier")
        if not copier:
            print("note: there is no C compiler (cc): the comparison with a reader in C is left out", file=sys.stderr)
        sums = _sums(commands, folder)  # and the memory for so many files is in use once
        redirected, copied, captured = [], [], []
        for _ in range(rounds):
            redirected.append(total / _in_scratch(_redirect, commands, folder))
            if copier:
                copied.append(total / _in_scratch(partial(_copy, copier), commands, folder))
            captured.append(_in_scratch(partial(_capture, sums, "pipe"), commands, folder))
    rates = [total / each.seconds for each in captured]
    return [
        Figure(name="capture: rate, to redirection", unit="GB/s", samples=rates, references=redirected, at_least=0.4,
               of_ratio=True),
        *([Figure(name="capture: rate, to a C reader", unit="GB/s", samples=rates, references=copied, at_least=1.0,
                  of_ratio=True)] if copied else []),
        Figure(name="capture: CPU s per GB", unit="s", samples=[each.cpu / total for each in captured], at_most=0.8),
        Figure(name="capture: streams that differ", unit="of 8", samples=[each.differing for each in captured],
               at_most=0),
    ]  # fmt: skip


def _measure_terminals(*, quick: bool) -> list[Figure]:
    """A sixteenth of it: what a terminal does to each line takes the kernel so much longer."""
    rounds, size = (2, 4 << 20) if quick else (5, 16 << 20)
    with scratch() as folder:
        programs = Programs(folder)
        commands = _pouring(programs, size)
        copier = programs.compiled("pipe_copier")
        sums, total = _sums(commands, folder, _as_on_terminal), _WORKERS * size / _GB
        copied, captured = [], []
        for _ in range(rounds):
            if copier:
                copied.append(total / _in_scratch(partial(_copy, copier, open_outlet=os.openpty), commands, folder))
            captured.append(_in_scratch(partial(_capture, sums, "pty"), commands, folder))
    return [
        Figure(name="capture of terminals: rate, to a C reader", unit="GB/s", references=copied, of_ratio=bool(copied),
               samples=[total / each.seconds for each in captured], at_least=0.7 if copied else None),
        Figure(name="capture of terminals: CPU s per GB", unit="s", samples=[each.cpu / total for each in captured]),
        Figure(name="capture of terminals: streams that differ", unit="of 8",
               samples=[each.differing for each in captured], at_most=0),
    ]  # fmt: skip


def _pouring(programs: Programs, size: int) -> _Commands:
    pour = programs.command("pour")
    return [(*pour, str(worker), str(size // _BLOCK)) for worker in range(_WORKERS)]


def _as_on_terminal(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def _in_scratch(measure: Callable[[_Commands, Path], T], commands: _Commands, folder: Path) -> T:
    """Each begins with the same free memory: its files are gone afterwards."""
    with TemporaryDirectory(dir=folder) as name:
        return measure(commands, Path(name))


def _sums(commands: _Commands, folder: Path, change: Callable[[bytes], bytes] = bytes) -> list[str]:
    """What each command writes when nobody is between it and its file."""
    with TemporaryDirectory(dir=folder) as name:
        _redirect(commands, Path(name))
        return [_sum(Path(name) / str(worker), change) for worker in range(len(commands))]


def _redirect(commands: _Commands, folder: Path) -> float:
    """Seconds of the same under a shell: ``command > file &``."""
    script = " ".join(f"{shlex.join(command)} > {worker} &" for worker, command in enumerate(commands))
    began = time.perf_counter()
    subprocess.run(["sh", "-c", f"{script} wait"], cwd=folder, check=True)
    return time.perf_counter() - began


def _copy(
    copier: Sequence[str],
    commands: _Commands,
    folder: Path,
    open_outlet: Callable[[], tuple[int, int]] = os.pipe,
) -> float:
    """Seconds of the same through pipes, or through terminals, and a reader in C."""
    pipes = [open_outlet() for _ in commands]
    targets = [text for worker, (reader, _) in enumerate(pipes) for text in (str(reader), str(folder / f"c{worker}"))]
    began = time.perf_counter()
    reading = subprocess.Popen([*copier, *targets], pass_fds=[reader for reader, _ in pipes])
    writing = [subprocess.Popen(command, stdout=writer) for command, (_, writer) in zip(commands, pipes, strict=True)]
    for reader, writer in pipes:
        os.close(reader)
        os.close(writer)
    if reading.wait() or any(process.wait() for process in writing):
        raise RuntimeError("the C reader or one of its writers failed")
    return time.perf_counter() - began


def _capture(sums: Sequence[str], source: Source, commands: _Commands, folder: Path) -> _Captured:
    tasks = [(f"w{worker}", command) for worker, command in enumerate(commands)]
    with running_plan(plan_text(tasks, last=("sleep", "600"), source=source), folder) as run:
        (began,) = run.until(RunStarted)
        before = run.cpu()
        exited = run.until(WorkerExited, len(tasks))
        run.until(WorkerStarted)  # of the last task, which keeps the keeper
        cpu = run.cpu() - before
        spools = [run.folder.spool(WorkerId(name), 1, streams_of(source)[0]) for name, _ in tasks]
        differing = sum(_sum(spool) != wanted for spool, wanted in zip(spools, sums, strict=True))
    return _Captured(max(event.at for event in exited) - began.at, cpu, differing)


def _sum(path: Path, change: Callable[[bytes], bytes] = bytes) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(change(data))
    return digest.hexdigest()
