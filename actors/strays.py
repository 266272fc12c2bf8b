"""Processes that came to this one because their parents ended: it is a subreaper, and its keeper was killed."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import trio

from actors.keeper_process.ancestry import children_of, descendants
from actors.keeper_process.marks import mark_of
from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import Process, describe, read_process
from protocols.ids import FleetId

__all__ = ["BESIDE", "Strays", "reap"]

BESIDE = "beside"
"""The mark of a child that is no worker's: it has no children, and ends when we do."""

_REAP_EVERY = 1.0
_GRACE = 0.5  # between TERM and KILL
_PAUSE = 0.01
_DEADLINE = 5.0  # what then still lives waits for a disk
_Key = tuple[int, int]  # pid and start time


def _key(process: Process) -> _Key:
    return process.pid, process.start_ticks


def _children() -> list[Process]:
    found = [process for pid in children_of(os.getpid()) if (process := read_process(pid)) is not None]
    return [process for process in found if not (process.alive and BESIDE in _marks(process))]


def _marks(process: Process) -> list[str]:
    return (mark_of(process.pid) or "").split(":")


@dataclass(slots=True)
class Strays:
    """All our children but those that we had before, which are no business of ours."""

    fleet: FleetId
    _before: frozenset[_Key] = field(default_factory=lambda: frozenset(map(_key, _children())))

    async def keep_reaping(self, others: Callable[[], Iterable[int]]) -> None:
        """Reap those that have ended, except the pids of whom somebody else waits for. Runs until cancelled."""
        while True:
            await trio.sleep(_REAP_EVERY)
            self._reap(others())

    async def end(self, others: Iterable[int] = ()) -> list[str]:
        """TERM, KILL after half a second, to all of them but ``others``. Return them as ``pid command``."""
        ended: dict[_Key, str] = {}
        merciless_at = trio.current_time() + _GRACE
        with trio.move_on_after(_DEADLINE):
            while found := list(self._find(others)):
                merciless = trio.current_time() >= merciless_at
                for process in found:
                    if _key(process) not in ended or merciless:
                        ended.setdefault(_key(process), describe(process))
                        _signal(process, merciless=merciless)
                await trio.sleep(_PAUSE)
                self._reap(others)
        return list(ended.values())

    def _find(self, others: Iterable[int]) -> Iterator[Process]:
        for child in self._ours(others):
            for process in (child, *descendants(child.pid)):
                if process.alive:
                    yield process

    def _ours(self, others: Iterable[int]) -> Iterator[Process]:
        excluded = set(others)
        for process in _children():
            if process.pid not in excluded and _key(process) not in self._before and self._is_of_fleet(process):
                yield process

    def _is_of_fleet(self, process: Process) -> bool:
        """Where we had children before, what comes to us may descend from those."""
        if not self._before or not process.alive:
            return True
        return any(part.startswith(f"{self.fleet}/") for part in _marks(process))

    def _reap(self, others: Iterable[int]) -> None:
        for process in self._ours(others):
            if not process.alive:
                reap(process.pid)


def reap(pid: int) -> tuple[int | None, int | None]:
    """The exit code or the signal of a child that has ended; neither where there is no such child."""
    try:
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None, None
    if result is None:
        return None, None
    return (result.si_status, None) if result.si_code == os.CLD_EXITED else (None, result.si_status)


def _signal(process: Process, *, merciless: bool) -> None:
    try:
        for signo in [signal.SIGKILL] if merciless else [signal.SIGTERM, signal.SIGCONT]:
            send_signal(process, signo)  # a stopped process hears TERM only when it goes on
    except PermissionError:
        return  # a program that runs as another user is out of reach
