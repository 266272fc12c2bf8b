"""What one worker, with all of its processes, may use, as the supervisor asked for it."""

from math import inf, isfinite
from typing import NamedTuple

from actors.keeper_process.fields import BadRequestError

__all__ = ["Limits", "parse_limits", "size_text"]

_NICEST = 19


class Limits(NamedTuple):
    """Infinite or None: no limit."""

    nice: int = 0
    open_files: int | None = None
    """Of each process."""
    cpu_time: float = inf
    """Seconds, of the whole tree."""
    memory: float = inf
    """Bytes, of the whole tree."""
    spool_limit: float = inf
    """Bytes, of all streams together."""
    fails_at_spool_limit: bool = False
    """It is ended there. Else it waits."""

    @property
    def watched(self) -> bool:
        """Somebody has to look again and again."""
        return min(self.cpu_time, self.memory) < inf


def parse_limits(value: object) -> Limits:
    """The field ``limits``, which may be missing. Raise `BadRequestError`."""
    if value is None:
        return Limits()
    if not isinstance(value, dict):
        raise BadRequestError("limits: must be an object")
    nice, files = _number(value, "nice"), _number(value, "open_files")
    if nice is not None and (nice > _NICEST or nice != int(nice)):
        raise BadRequestError(f"limits.nice: must be a whole number up to {_NICEST}")
    at_limit = value.get("at_spool_limit")
    if at_limit is not None and at_limit not in ("pause", "fail"):
        raise BadRequestError("limits.at_spool_limit: must be pause or fail")
    return Limits(
        nice=int(nice or 0),
        open_files=None if files is None else int(files),
        cpu_time=_or_inf(_number(value, "cpu_time")),
        memory=_or_inf(_number(value, "memory")),
        spool_limit=_or_inf(_number(value, "spool_limit")),
        fails_at_spool_limit=at_limit == "fail",
    )


def size_text(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _number(value: dict[str, object], name: str) -> float | None:
    found = value.get(name)
    if found is None:
        return None
    if not isinstance(found, int | float) or isinstance(found, bool) or not isfinite(found) or found < 0:
        raise BadRequestError(f"limits.{name}: must be a number, not negative")
    return found


def _or_inf(number: float | None) -> float:
    return inf if number is None else number
