"""Decides when to let output gather in the pipes instead of fetching every line on its own."""

__all__ = ["Pacer"]

# 64 workers with a line each 10 ms are 6,400 wake-ups a second for a few hundred kilobytes: 200 rounds do for them.
_ROUNDS_PER_SECOND = 200.0
_BURST = 32.0
# What is faster than this is not kept waiting: a pipe holds 64 KiB and is full after 5 ms at 13 MB/s.
_SLOW = 4e6
_HOT = 64 * 1024
_HEAT_LIMIT = 4.0 * _HOT
# Fast, but in small writes: looking again at once would fight with the writer for the lock of the pipe. In this time
# a pipe does not fill (100-byte writes: 200 MB/s and 5.1 CPU s/GB without it, 260 MB/s and 1.6 with it).
_SMALL = 8 * 1024
_BREATH = 50e-6


class Pacer:
    """Two leaky buckets: one holds the rounds that may follow each other at once, one tells whether bytes pour."""

    def __init__(self) -> None:
        self._credit = _BURST
        self._heat = 0.0
        self._last = 0.0

    def pause(self, now: float, copied: int) -> float:
        """Seconds to wait after a round that ended ``now`` (monotonic) and copied so many bytes: at most 5 ms."""
        elapsed = now - self._last
        self._last = now
        self._heat = min(max(self._heat - elapsed * _SLOW, 0.0) + copied, _HEAT_LIMIT)
        self._credit = min(self._credit + elapsed * _ROUNDS_PER_SECOND, _BURST) - 1.0
        if self._heat > _HOT:
            self._credit = max(self._credit, 0.0)
            return _BREATH if copied < _SMALL else 0.0
        return max(-self._credit / _ROUNDS_PER_SECOND, 0.0)
