"""Whether the machine has room for more workers: free memory, and how long processes wait for memory and CPU."""

import math
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from protocols.sizes import format_bytes

__all__ = ["Gate", "Kind", "Limits", "Machine", "Room"]

Kind: TypeAlias = Literal["", "memory", "memory pressure", "cpu pressure", "one by one"]

# What held starts up must be better by this factor before they go on: else each start would close the gate again.
_RELIEF = 1.25
# A worker that has just started does not use its memory yet: below this multiple of what is wanted they start singly.
_NARROW = 2.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """From when on nobody starts. 0 switches a limit off."""

    min_free_memory: int = 256_000_000
    """Bytes that programs can still get without swapping."""
    max_memory_pressure: float = 40.0
    """Percent of the last ten seconds in which some process waited for memory."""
    max_cpu_pressure: float = 0.0
    """Percent of the last ten seconds in which some process waited for a CPU. Off: a busy machine is no problem."""

    @classmethod
    def none(cls) -> "Limits":
        return cls(min_free_memory=0, max_memory_pressure=0.0, max_cpu_pressure=0.0)

    @property
    def off(self) -> bool:
        return not (self.min_free_memory or self.max_memory_pressure or self.max_cpu_pressure)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of it; None where it does not tell, which holds nobody up."""

    free_memory: int | None = None
    memory_pressure: float | None = None
    cpu_pressure: float | None = None


class Room(NamedTuple):
    """How many workers may start until somebody looks again."""

    starts: float = math.inf
    kind: Kind = ""
    """What limits them; empty where nothing does."""
    reason: str = ""
    """The same for people, with figures."""


class Gate:
    """Feed what is seen of the machine. Who was held up goes on only when there is clearly more room."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._closed: set[Kind] = set()

    def judge(self, machine: Machine) -> Room:
        limits, free = self._limits, machine.free_memory
        if self._short(free):
            return Room(0, "memory", _memory(free, limits.min_free_memory))
        if self._pressed("memory pressure", machine.memory_pressure, limits.max_memory_pressure):
            return Room(0, "memory pressure", _pressure("memory", machine.memory_pressure, limits.max_memory_pressure))
        if self._pressed("cpu pressure", machine.cpu_pressure, limits.max_cpu_pressure):
            return Room(0, "cpu pressure", _pressure("a CPU", machine.cpu_pressure, limits.max_cpu_pressure))
        if free is not None and free < _NARROW * limits.min_free_memory:
            return Room(1, "one by one", f"{format_bytes(free)} of memory free: one start at a time")
        return Room()

    def _short(self, free: int | None) -> bool:
        wanted = self._limits.min_free_memory * (_RELIEF if "memory" in self._closed else 1)
        return self._note("memory", free is not None and free < wanted)

    def _pressed(self, kind: Kind, found: float | None, limit: float) -> bool:
        allowed = limit / (_RELIEF if kind in self._closed else 1)
        return self._note(kind, found is not None and bool(limit) and found > allowed)

    def _note(self, kind: Kind, closed: bool) -> bool:
        if closed:
            self._closed.add(kind)
        else:
            self._closed.discard(kind)
        return closed


def _memory(free: int | None, wanted: int) -> str:
    return f"waits: {format_bytes(free or 0)} of memory free, {format_bytes(wanted)} wanted"


def _pressure(what: str, found: float | None, limit: float) -> str:
    return f"waits: programs wait for {what} {found or 0:.0f}% of the time, {limit:.0f}% allowed"
