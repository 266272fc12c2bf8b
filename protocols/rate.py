"""How fast something goes right now, from amounts and the times at which they came."""

import math
from dataclasses import dataclass

__all__ = ["LongRate", "Rate"]

_MEMORY = 2.0  # seconds after which an amount counts for a third
_LEAST = 1.0
_APART = 5.0  # seconds; records of several workers come in no exact order, but not that far from it


@dataclass(slots=True)
class Rate:
    """Amounts per second, of which the latest count most. Times are seconds of any clock."""

    _value: float = 0.0
    _since: float = -math.inf

    def add(self, at: float, amount: float) -> None:
        """``amount`` came at this moment. One that is a little earlier than the last counts as if it came with it."""
        self._value = self._faded(at) + amount / _MEMORY
        self._since = at if at < self._since - _APART else max(self._since, at)

    def at(self, now: float) -> float:
        """0 where it is below one a second."""
        value = self._faded(now)
        return value if value >= _LEAST else 0.0

    def _faded(self, now: float) -> float:
        if now < self._since - _APART:  # the clock was set back: nobody knows how long ago that was
            return 0.0
        return self._value * math.exp(min(self._since - now, 0.0) / _MEMORY)


@dataclass(slots=True)
class LongRate:
    """How fast a sum grew lately: in the last ``window`` seconds at least, or since its beginning."""

    window: float
    _since: float
    _from: float = 0.0
    _next_since: float = math.inf
    _next_from: float = 0.0

    def at(self, now: float, total: float) -> float:
        """Per second. ``total``: the sum so far, 0 at the beginning."""
        if now < self._since:  # a clock that ran back
            self._since, self._from, self._next_since = now, total, math.inf
        if self._next_since == math.inf:
            self._next_since, self._next_from = now, total
        elif now - self._next_since >= self.window:
            self._since, self._from = self._next_since, self._next_from
            self._next_since, self._next_from = now, total
        passed = now - self._since
        return max(total - self._from, 0.0) / passed if passed > 0 else 0.0
