"""How often something may happen: so many at once, and so many a second in the long run."""

from dataclasses import dataclass

__all__ = ["TokenBucket"]


@dataclass(slots=True)
class TokenBucket:
    """Of ``size`` tokens, full at first, filled again by ``rate`` a second. Times are seconds of any clock; one that
    is set back fills nothing."""

    rate: float
    size: float
    at: float
    """When it was full."""
    _tokens: float = -1.0

    def __post_init__(self) -> None:
        self._tokens = self.size

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0: now."""
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.rate

    def take(self, now: float) -> None:
        """One token, whether it is there or not: then the next ones are longer in coming."""
        self._fill(now)
        self._tokens -= 1.0

    def _fill(self, now: float) -> None:
        self._tokens = min(self._tokens + max(now - self.at, 0.0) * self.rate, self.size)
        self.at = now
