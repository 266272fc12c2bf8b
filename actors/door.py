"""Lets workers start as the machine has room for them: reads how much memory is free, and how long programs wait."""

import math
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import trio

from protocols.ids import TaskId
from protocols.pressure import Gate, Kind, Limits, Machine, Room

__all__ = ["Door", "read_machine"]

_FRESH = 0.1  # seconds for which a look at a machine with room is good
_PAUSE = 1.0  # until the next look at one without
_AVERAGE = re.compile(rb"^some avg10=(\d{1,3}(?:\.\d+)?)\b", re.MULTILINE)
_AVAILABLE = re.compile(rb"^MemAvailable: +(\d+) kB$", re.MULTILINE)


class _Hierarchy(NamedTuple):
    """How a version of cgroups names what a group may use, and uses."""

    mount: str
    limit: str
    usage: str
    cache: tuple[bytes, ...]
    """Lines of ``memory.stat`` with what is used, but given back before anybody has to wait."""


_SECOND = _Hierarchy("", "memory.max", "memory.current", (b"active_file", b"inactive_file"))
_FIRST = _Hierarchy(
    "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", (b"total_active_file", b"total_inactive_file")
)


@dataclass(slots=True)
class Door:
    """Through which workers go to start. A look costs half a millisecond, and there are ten a second at most.

    ``look`` blocks for as long as /proc does.
    """

    limits: Limits
    look: Callable[[], Machine] = field(default_factory=lambda: read_machine)
    _gate: Gate = field(init=False)
    _room: Room = field(default=Room(), init=False)
    _next_look: float = field(default=-math.inf, init=False)
    """On trio's clock: nothing new is known before."""
    _held: dict[TaskId, Kind] = field(default_factory=dict, init=False)
    """Who has a slot but must wait for the machine, and what was told of it."""

    def __post_init__(self) -> None:
        self._gate = Gate(self.limits)

    @property
    def wake_at(self) -> float:
        """When to ask again, on trio's clock; infinite where nobody waits for the machine."""
        return self._next_look if self._held else math.inf

    def room(self, running: int) -> float:
        """How many may start now. Where nobody runs one always may: somebody has to come to an end, or nothing would
        ever change."""
        return max(self._look().starts, 0 if running else 1)

    def admitted(self, started: Collection[TaskId], held: Collection[TaskId]) -> dict[TaskId, str]:
        """These went through, and those would have if there had been more room. Return of whom to tell why they wait:
        nothing any more, where the reason is empty."""
        room = self._room
        self._room = room._replace(starts=max(room.starts - len(started), 0))
        before, self._held = self._held, dict.fromkeys(held if room.kind else (), room.kind)
        news = {task: room.reason for task in self._held if before.get(task) != room.kind}
        return news | dict.fromkeys(before.keys() - self._held.keys() - set(started), "")

    def _look(self) -> Room:
        now = trio.current_time()
        if now >= self._next_look and not self.limits.off:
            self._room = self._gate.judge(self.look())
            self._next_look = now + (_PAUSE if self._room.kind else _FRESH)
        return self._room


def read_machine(root: Path = Path("/")) -> Machine:
    """What /proc and the control groups that we are in tell. Formats: proc(5), the kernel's ``accounting/psi.rst``,
    ``admin-guide/cgroup-v2.rst`` and ``admin-guide/cgroup-v1/memory.rst``."""
    available = _number(_AVAILABLE, _read(root / "proc/meminfo"))
    bounds = [*_free_in_groups(root)]
    if available is not None:
        bounds.append(int(available) * 1024)
    return Machine(
        free_memory=min(bounds, default=None),
        memory_pressure=_number(_AVERAGE, _read(root / "proc/pressure/memory")),
        cpu_pressure=_number(_AVERAGE, _read(root / "proc/pressure/cpu")),
    )


def _free_in_groups(root: Path) -> Iterator[int]:
    """Bytes that may still be used in our control group and in each one around it, where they are limited."""
    for line in _read(root / "proc/self/cgroup").decode(errors="surrogateescape").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" or "memory" in controllers.split(","):
            hierarchy = _SECOND if number == "0" else _FIRST
            top = root / "sys/fs/cgroup" / hierarchy.mount
            group = top / path.strip("/")
            yield from (free for each in _upwards(group, top) if (free := _free(each, hierarchy)) is not None)


def _upwards(group: Path, top: Path) -> Iterator[Path]:
    """In a container the path may be that of the machine outside: of it only the top is there."""
    if ".." not in group.parts:
        yield from (each for each in (group, *group.parents) if each.is_relative_to(top))


def _free(group: Path, hierarchy: _Hierarchy) -> int | None:
    limit, usage = _read(group / hierarchy.limit).strip(), _read(group / hierarchy.usage).strip()
    if not (limit.isdigit() and usage.isdigit()):  # none of this name here, or "max"
        return None
    fields = (line.split() for line in _read(group / "memory.stat").splitlines())
    cache = sum(int(each[1]) for each in fields if len(each) == 2 and each[0] in hierarchy.cache and each[1].isdigit())
    return max(int(limit) - max(int(usage) - cache, 0), 0)


def _number(pattern: re.Pattern[bytes], text: bytes) -> float | None:
    found = pattern.search(text)
    return None if found is None else float(found[1])


def _read(path: Path) -> bytes:
    """Empty where there is no such file, or the kernel does not keep it (PSI switched off)."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
