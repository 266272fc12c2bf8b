"""Pauses between attempts: each twice as long as the one before, with jitter, up to a ceiling."""

import itertools
import random as _random
from collections.abc import Callable, Iterator

__all__ = ["delay", "delays"]

_MAX_DOUBLINGS = 1023  # 2.0 to a higher power is an OverflowError


def delay(attempt: int, first: float, ceiling: float = 60.0, random: Callable[[], float] = _random.random) -> float:
    """Seconds to wait after failure number ``attempt`` (from 1), at most ``ceiling``.

    ``random`` returns 0 to 1. The pause is shortened by up to a half, so that what failed together
    does not come back together.
    """
    pause = min(first * 2.0 ** min(attempt - 1, _MAX_DOUBLINGS), ceiling)
    return pause * (0.5 + 0.5 * random())


def delays(first: float, ceiling: float = 60.0, random: Callable[[], float] = _random.random) -> Iterator[float]:
    """All pauses, in order, without end."""
    return (delay(attempt, first, ceiling, random) for attempt in itertools.count(1))
