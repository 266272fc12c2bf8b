"""What processes of this machine take, as two looks at ``/proc`` tell."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from actors.keeper_process.procfs import Process, list_processes

__all__ = ["Meter", "Use"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Use(msgspec.Struct, frozen=True):
    """Of a process and all that descend from it."""

    cpu: float | None
    """Processors since the look before, 1.0 is one in full; None: there was none."""
    memory: int
    """Bytes; what they share counts for each."""
    processes: int


@dataclass(slots=True)
class Meter:
    """Each look compares with the one before."""

    _at: float = 0.0
    _ticks: Mapping[int, int] = field(default_factory=dict)

    def look(self, leaders: Collection[int], now: float) -> dict[int, Use]:
        """By pid; those that are gone are missing. ``now``: seconds of any clock."""
        return self.measure(list_processes(), leaders, now)

    def measure(self, processes: Collection[Process], leaders: Collection[int], now: float) -> dict[int, Use]:
        families = {pid: members for pid in leaders if (members := _family(processes, pid))}
        ticks = {pid: sum(each.ticks + each.waited_ticks for each in members) for pid, members in families.items()}
        passed = now - self._at
        found = {
            pid: Use(
                cpu=max(ticks[pid] - self._ticks[pid], 0) / _TICKS / passed
                if pid in self._ticks and passed > 0
                else None,
                memory=sum(each.pages for each in members) * _PAGE,
                processes=len(members),
            )
            for pid, members in families.items()
        }
        self._at, self._ticks = now, ticks
        return found


def _family(processes: Collection[Process], leader: int) -> list[Process]:
    """Empty where the leader is gone."""
    children: dict[int, list[Process]] = {}
    for each in processes:
        children.setdefault(each.ppid, []).append(each)
    found = [each for each in processes if each.pid == leader]
    for each in found:
        found += children.get(each.pid, ())
    return found
