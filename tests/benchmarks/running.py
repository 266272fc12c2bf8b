"""Runs plans by the command ``callboard run``, as a user would, and reads what its two processes cost."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from protocols.event_codec import decode_event
from protocols.events import Event
from protocols.fleet_events import KeeperStarted
from protocols.kinds import Source
from protocols.layout import FleetFolder
from protocols.wording import quote
from tests.benchmarks.processes import Memory, cpu_seconds, memory

__all__ = ["CALLBOARD", "RunningPlan", "plan_text", "resumed_plan", "running_plan", "scratch"]

CALLBOARD = str(Path(sys.executable).with_name("callboard"))
_END_WAIT = 60.0
_MEMORY = "/dev/shm"

E = TypeVar("E", bound=Event)


class RunningPlan:
    """A run that began, and its records as they come."""

    def __init__(self, process: subprocess.Popen[bytes], state: Path) -> None:
        self.process = process
        self.keeper = 0
        """The keeper's pid, once it was told."""
        self._state = state

    @property
    def folder(self) -> FleetFolder:
        """Once a record was told."""
        (root,) = [entry for entry in self._state.iterdir() if (entry / "fleet.json").exists()]
        return FleetFolder(root)

    def until(self, kind: type[E], count: int = 1) -> list[E]:
        """Read records until so many of this kind have come."""
        found: list[E] = []
        for event in self._events():
            if isinstance(event, kind):
                found.append(event)
                if len(found) == count:
                    return found
        raise RuntimeError(f"the run ended after {len(found)} of {count} {kind.__name__}")

    def cpu(self) -> float:
        """CPU seconds that supervisor and keeper have used together until now."""
        return cpu_seconds(self.process.pid) + cpu_seconds(self.keeper)

    def memory(self) -> Memory:
        """What supervisor and keeper hold together."""
        both = [memory(pid) for pid in (self.process.pid, self.keeper)]
        return Memory(sum(each.rss for each in both), sum(each.pss for each in both))

    def _events(self) -> Iterator[Event]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = decode_event(line)
            if isinstance(event, KeeperStarted):
                self.keeper = event.pid
            yield event


@contextmanager
def running_plan(text: str, folder: Path, *options: str) -> Iterator[RunningPlan]:
    """Run a plan in ``folder``; stop it at the end, if it has not ended by itself."""
    plan = folder / "plan.toml"
    plan.write_text(text)
    with _supervisor(folder, "run", str(plan), *options) as run:
        yield run


@contextmanager
def resumed_plan(folder: Path) -> Iterator[RunningPlan]:
    """Go on with the run of that folder, whose supervisor was killed."""
    with _supervisor(folder, "resume") as run:
        yield run


@contextmanager
def _supervisor(folder: Path, *arguments: str) -> Iterator[RunningPlan]:
    state = folder / "state"
    command = [CALLBOARD, *arguments, "--output", "json", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder) as process:
        try:
            yield RunningPlan(process, state)
        finally:
            process.terminate()
            process.communicate(timeout=_END_WAIT)


def plan_text(tasks: Sequence[tuple[str, Sequence[str]]], *, last: Sequence[str] = (), source: Source = "pipe") -> str:
    """A plan in which all tasks run at once; the command ``last`` after them."""
    lines = [f'[defaults]\nconcurrency = {len(tasks) + 1}\nsource = "{source}"\n']
    lines += [f"[[tasks]]\nid = {quote(name)}\ncommand = {_toml(command)}\n" for name, command in tasks]
    if last:
        lines.append(f'[[tasks]]\nid = "last"\ncommand = {_toml(last)}\nneeds = {_toml([name for name, _ in tasks])}\n')
    return "\n".join(lines)


@contextmanager
def scratch(*, in_memory: bool = False) -> Iterator[Path]:
    """A folder for what is measured: where TMPDIR says, else on disk, or in memory where that can be.

    To make and remove thousands of files tells more about a file system than about us: an ext4 without journal takes
    a millisecond for a new file when many were deleted in the last half minute.
    """
    base = _MEMORY if in_memory and "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="callboard-bench-", dir=base) as name:
        yield Path(name)


def _toml(items: Sequence[str]) -> str:
    return msgspec.json.encode(items).decode()
