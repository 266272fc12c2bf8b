"""Holds what the trees of workers use against their limits of memory and CPU time."""

import os
from collections.abc import Collection, Iterable
from math import inf
from typing import NamedTuple

from actors.keeper_process.procfs import Process
from actors.keeper_process.worker_limits import Limits, size_text

__all__ = ["Breach", "Watchdog", "pause_before_count"]

_COUNT_EVERY = 2.0  # so often ancestry is recorded, for processes that will lose their parents
_WATCH_EVERY = 0.25  # the same, while there are limits that only counting keeps
_WATCH_PAUSES = 20.0  # of what a count takes: 5 % of one CPU at most
_TICK = float(os.sysconf("SC_CLK_TCK"))
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Breach(NamedTuple):
    reason: str
    detail: str


class Watchdog:
    """Of one attempt. It is told who lives, again and again."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ticks: dict[tuple[int, int], int] = {}
        self._total = 0
        self._used = 0

    def look(self, living: Iterable[Process], dead: Iterable[Process]) -> Breach | None:
        """What is too much. ``dead``: those of the tree for whose end nobody has waited yet."""
        members = list(living)
        return self._memory(members) or self._cpu_time(members, dead)

    def _memory(self, members: list[Process]) -> Breach | None:
        """The resident sizes cost nothing more and are too high rather than too low: what processes share counts for
        each of them. Only where these are too much it is worth to ask for the proportional ones."""
        limit = self._limits.memory
        if limit == inf or sum(process.pages for process in members) * _PAGE <= limit:
            return None
        size = sum(_proportional_size(process) for process in members)
        if size <= limit:
            return None
        count = f"{len(members)} process{'' if len(members) == 1 else 'es'}"
        return Breach("memory", f"its {count} used {size_text(size)} of memory, more than {size_text(limit)}")

    def _cpu_time(self, members: list[Process], dead: Iterable[Process]) -> Breach | None:
        """The time of a child goes over to who waits for it. Where nobody does it is gone from the total: then at least
        what the living used is known."""
        limit = self._limits.cpu_time
        if limit == inf:
            return None
        ticks = {(process.pid, process.start_ticks): process.ticks for process in members}
        own = sum(now - self._ticks.get(key, 0) for key, now in ticks.items())
        total = sum(process.ticks + process.waited_ticks for process in (*members, *dead))
        self._used += max(total - self._total, own, 0)
        self._total, self._ticks = total, ticks
        used = self._used / _TICK
        if used <= limit:
            return None
        return Breach("cpu-time", f"its processes used {used:.3g} s of CPU time, more than {limit:.3g} s")


def pause_before_count(living: Collection[Limits], took: float = 0.0) -> float:
    """Seconds; infinite where nobody lives. The count before has taken so many."""
    if not living:
        return inf
    return max(_WATCH_EVERY, took * _WATCH_PAUSES) if any(limits.watched for limits in living) else _COUNT_EVERY


def _proportional_size(process: Process) -> int:
    """Bytes, shared pages divided among those who share them; the resident size where that is not ours to see."""
    try:
        fd = os.open(f"/proc/{process.pid}/smaps_rollup", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return process.pages * _PAGE
    try:
        _, found, rest = os.read(fd, 4096).partition(b"\nPss:")
    except OSError:  # it ended meanwhile
        return 0
    finally:
        os.close(fd)
    return int(rest.split(None, 1)[0]) * 1024 if found else process.pages * _PAGE
