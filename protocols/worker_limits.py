"""What a worker, with all of its processes, may use: the table ``limits`` of a plan, as the keeper gets it."""

from typing import Literal

import msgspec

from protocols.durations import format_duration
from protocols.section import Section
from protocols.sizes import format_bytes

__all__ = ["NO_LIMITS", "WorkerLimits", "read_limits"]

_KEYS = ("nice", "open_files", "cpu_time", "memory", "spool_limit", "at_spool_limit")
_NONE = "none"
_NICEST = 19
_FEWEST_FILES = 16  # with less a shell cannot redirect
_AT_LIMIT: tuple[Literal["pause", "fail"], ...] = ("pause", "fail")


class WorkerLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """None: nothing is said; once all levels are put together, no limit. 0, but for `nice`: ``"none"`` was said."""

    nice: int | None = None
    """1 to 19; it gets less of the CPU the higher this is. It never gets more than callboard itself."""
    open_files: int | None = None
    """Of each process."""
    cpu_time: float | None = None
    """Seconds of CPU that the whole tree may use."""
    memory: int | None = None
    """Bytes that the whole tree may use. What its processes share counts once."""
    spool_limit: int | None = None
    """Bytes of output that are kept, of all streams of an attempt together."""
    at_spool_limit: Literal["pause", "fail"] | None = None
    """``pause``, also where nothing is said: its output is not read any more, so it waits in its next write. ``fail``:
    it is ended."""

    def over(self, base: "WorkerLimits") -> "WorkerLimits":
        """These where they say something, else ``base``."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.structs.replace(base, **said)

    def resolved(self) -> "WorkerLimits":
        """Once no other level can say more: no limit is None."""
        sizes = {key: getattr(self, key) or None for key in ("open_files", "cpu_time", "memory", "spool_limit")}
        return msgspec.structs.replace(self, **sizes)

    def describe(self, reason: str) -> str:
        """What the end of a worker for this reason means, where its keeper could not tell the figures."""
        match reason:
            case "memory" if self.memory is not None:
                return f"its processes used more than their {format_bytes(self.memory)} of memory"
            case "cpu-time" if self.cpu_time is not None:
                return f"its processes used more than their {format_duration(self.cpu_time)} of CPU time"
            case "spool-limit" if self.spool_limit is not None:
                return f"it printed more than its spool_limit of {format_bytes(self.spool_limit)}"
        return ""


NO_LIMITS = WorkerLimits(nice=0, open_files=0, cpu_time=0, memory=0, spool_limit=0)
"""Over any other: none of its limits holds."""


def read_limits(section: Section) -> WorkerLimits:
    """The key ``limits`` of a level."""
    if section.get("limits") == _NONE:
        return NO_LIMITS
    table = section.table("limits")
    if table is None:
        return WorkerLimits()
    table.check_keys(_KEYS, {})
    return WorkerLimits(
        nice=_read_nice(table),
        open_files=0 if _is_none(table, "open_files") else table.count("open_files", _FEWEST_FILES),
        cpu_time=0 if _is_none(table, "cpu_time") else table.duration("cpu_time", zero=False),
        memory=0 if _is_none(table, "memory") else table.size("memory"),
        spool_limit=0 if _is_none(table, "spool_limit") else table.size("spool_limit"),
        at_spool_limit=_read_at_limit(table),
    )


def _is_none(table: Section, key: str) -> bool:
    return table.get(key) == _NONE


def _read_nice(table: Section) -> int | None:
    nice = table.count("nice", 0)
    if nice is not None and nice > _NICEST:
        table.reject("nice", f"out of range; write a number from 0 to {_NICEST}")
    return nice


def _read_at_limit(table: Section) -> Literal["pause", "fail"] | None:
    return table.choice("at_spool_limit", _AT_LIMIT, "nothing that can be done there")
