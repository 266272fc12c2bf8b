"""What a single process shows of the attempt to which it belongs."""

import os
import time
from collections.abc import Collection
from typing import NamedTuple

from actors.keeper_process.marks import attempt_of, mark_of
from actors.keeper_process.procfs import Process

__all__ = ["Evidence"]

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class _Attempt(NamedTuple):
    leader: int
    start_ticks: int
    outlets: frozenset[str]


class Evidence:
    """The registered attempts of one fleet, and what shows that a process is of one of them."""

    def __init__(self, fleet: str) -> None:
        self._fleet = fleet
        self._attempts: dict[str, _Attempt] = {}
        self._by_leader: dict[int, str] = {}
        self._by_outlet: dict[str, str] = {}
        self._past: list[range] = []
        """The lives, in ticks, of attempts that were removed."""

    def __contains__(self, attempt: str) -> bool:
        return attempt in self._attempts

    def add(self, attempt: str, leader: int, start_ticks: int, outlets: frozenset[str]) -> None:
        """``outlets``: what it writes to, as ``pipe:[INODE]``, ``/dev/pts/NUMBER`` or the path of a file."""
        self._attempts[attempt] = _Attempt(leader, start_ticks, outlets)
        self._by_leader[leader] = attempt
        self._by_outlet.update(dict.fromkeys(outlets, attempt))

    def remove(self, attempt: str) -> None:
        """An unknown attempt changes nothing."""
        gone = self._attempts.pop(attempt, None)
        if gone is None:
            return
        if self._by_leader.get(gone.leader) == attempt:  # else a later attempt has the same pid
            del self._by_leader[gone.leader]
        for outlet in gone.outlets:
            if self._by_outlet.get(outlet) == attempt:
                del self._by_outlet[outlet]
        self._past.append(range(gone.start_ticks, ticks_now() + 1))

    def forget_past(self, before: int) -> None:
        """No process that started before this moment will be asked about."""
        self._past = [life for life in self._past if life.stop > before]

    def attempts(self) -> list[str]:
        return list(self._attempts)

    def led_by(self, process: Process) -> str | None:
        """The attempt whose leader this is."""
        attempt = self._by_leader.get(process.pid)
        leads = attempt is not None and self._attempts[attempt].start_ticks == process.start_ticks
        return attempt if leads else None

    def shown_by(self, process: Process) -> str | None:
        """The attempt that its mark, its session, its group or an outlet that it holds names."""
        return (
            self._marked(process.pid)
            or self._by_leader.get(process.session)
            or self._by_leader.get(process.pgrp)
            or next((self._by_outlet[each] for each in _outlets_of(process.pid, self._by_outlet)), None)
        )

    def of_fleet(self, process: Process) -> bool:
        """Its mark names this fleet, if maybe no attempt that is registered."""
        mark = mark_of(process.pid)
        return mark is not None and attempt_of(mark, self._fleet) is not None

    def alone_with(self, process: Process) -> str | None:
        """The attempt that was alive when the process started, if there was no other and its mark names no other."""
        moment = process.start_ticks
        living = [attempt for attempt, facts in self._attempts.items() if facts.start_ticks <= moment]
        past = any(moment in life for life in self._past)
        return living[0] if len(living) == 1 and not past and not self.of_fleet(process) else None

    def _marked(self, pid: int) -> str | None:
        mark = mark_of(pid)
        attempt = attempt_of(mark, self._fleet) if mark is not None else None
        return attempt if attempt in self._attempts else None


def ticks_now() -> int:
    """The moment as ``/proc/PID/stat`` counts it."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS_PER_SECOND)


def _outlets_of(pid: int, known: Collection[str]) -> set[str]:
    """Those of the known ones that a process holds; empty if it is gone or not ours to look into."""
    folder = f"/proc/{pid}/fd"
    outlets = set()
    try:
        for name in os.listdir(folder):  # noqa: PTH208 - hot
            target = _read_link(f"{folder}/{name}")
            if target in known and _may_write(f"{folder}/{name}"):
                outlets.add(target)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return outlets


def _may_write(link: str) -> bool:
    """Who only reads a file or the output of another is nobody's worker for that."""
    try:
        return bool(os.lstat(link).st_mode & 0o200)
    except FileNotFoundError:
        return False


def _read_link(path: str) -> str:
    """Where it leads; an empty string if it was closed meanwhile."""
    try:
        return os.readlink(path)  # noqa: PTH115 - hot
    except FileNotFoundError:
        return ""
