"""How much the spool files of one attempt may hold, all streams together."""

from math import inf

from actors.keeper_process.worker_limits import size_text

__all__ = ["Allowance"]


class Allowance:
    """Belongs to the copier's thread, once it was handed over."""

    def __init__(self, limit: float = inf) -> None:
        self._limit = limit
        self._used = 0

    def room(self, wanted: int) -> int:
        """How many of so many bytes may be copied."""
        return int(min(wanted, max(self._limit - self._used, 0)))

    def use(self, count: int) -> None:
        """They are in the file. They may be more than there was room for: at its end a stream is copied whole."""
        self._used += count

    def __str__(self) -> str:
        return f"its spool_limit of {size_text(self._limit)} is reached"
