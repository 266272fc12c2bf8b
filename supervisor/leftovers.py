"""The processes that a dead fleet left behind: found by mark, record and descent, and ended."""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from actors.keeper_process.ancestry import descendants
from actors.keeper_process.marks import mark_of
from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import Process, describe, read_process
from protocols.ids import FleetId
from supervisor.locks import is_locked, lock_owner

__all__ = ["end_keeper", "end_leftovers"]

_GRACE = 0.5  # between TERM and KILL
_PAUSE = 0.01
_CLEAN_ROUNDS = 3  # while a process runs exec, its mark cannot be read
_DEADLINE = 5.0  # for what resists; looking once more has none
_LOOKS = 100  # others may start processes without end
_Key = tuple[int, int]  # pid and start time


def end_leftovers(fleet: FleetId, leaders: Iterable[_Key]) -> tuple[tuple[str, ...], bool]:
    """End all processes of a fleet; return them as ``pid command``, and whether none is left.

    ``leaders`` are workers by pid and start time, for those that hid their mark. They must be of
    this boot and this pid namespace. A process that we may not signal counts as left.
    """
    hunt = _Hunt(fleet, frozenset(leaders))
    begin = time.monotonic()
    clean = 0
    while clean < _CLEAN_ROUNDS:
        now = time.monotonic()
        hunt.merciless = now >= begin + _GRACE
        clean = 0 if hunt.scan() else clean + 1
        if not clean and now >= begin + _DEADLINE:
            break
        time.sleep(_PAUSE)
    return tuple(hunt.described.values()), clean > 0


def end_keeper(lock: Path) -> bool:
    """Kill the keeper that holds this lock, if it is surely the one. Return whether it was."""
    pid = lock_owner(lock)
    process = read_process(pid) if pid else None
    if process is None or not is_locked(lock) or not _has_open(process.pid, lock):
        return False
    return send_signal(process, signal.SIGKILL)


@dataclass(slots=True)
class _Hunt:
    fleet: FleetId
    leaders: frozenset[_Key]
    merciless: bool = False
    described: dict[_Key, str] = field(default_factory=dict)
    """All that belongs to the fleet and was seen alive, in the order in which it was found."""

    def scan(self) -> bool:
        """Signal all that lives of the fleet, and return whether anything did.

        Looks again at what was born meanwhile, until there is nothing new: else a chain of processes
        that each start a successor and exit would always be one step ahead.
        """
        found = False
        seen = {os.getpid()}
        for _ in range(_LOOKS):
            fresh = _pids() - seen
            if not fresh:
                break
            seen |= fresh
            for process in filter(None, map(read_process, sorted(fresh))):
                if process.alive and self._belongs(process):
                    found = True
                    self._end(process)
        return found

    def _belongs(self, process: Process) -> bool:
        if _key(process) in self.leaders or _key(process) in self.described:
            return True
        return any(part.startswith(f"{self.fleet}/") for part in (mark_of(process.pid) or "").split(":"))

    def _end(self, process: Process) -> None:
        """Together with what descends from it now: later nobody could tell."""
        for each in (process, *descendants(process.pid)):
            known = _key(each) in self.described
            if each.pid == os.getpid() or not each.alive or (known and not self.merciless):
                continue
            self.described.setdefault(_key(each), describe(each))
            for signo in [signal.SIGKILL] if self.merciless else [signal.SIGTERM, signal.SIGCONT]:
                _signal(each, signo)  # a stopped process hears TERM only when it goes on


def _pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208 - hot


def _key(process: Process) -> _Key:
    return process.pid, process.start_ticks


def _signal(process: Process, signo: signal.Signals) -> None:
    try:
        send_signal(process, signo)
    except PermissionError:  # a program that runs as another user: it stays, and is told
        return


def _has_open(pid: int, path: Path) -> bool:
    try:
        wanted = path.stat()
        return any(os.path.samestat(fd.stat(), wanted) for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
