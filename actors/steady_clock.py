"""The time of day as it only goes forward: what came later has a later moment, whatever is done to the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["SteadyClock"]


@dataclass(slots=True)
class SteadyClock:
    """Call it for Unix time. Where the clock is set back it goes on from where it was, with no second less or more;
    where it is set forward it follows. Those whose moments are compared have to share one."""

    wall: Callable[[], float] = time.time
    elapsed: Callable[[], float] = time.monotonic
    _last: float = field(init=False)
    _at: float = field(init=False)
    """When that was, as ``elapsed`` tells."""

    def __post_init__(self) -> None:
        self._last, self._at = self.wall(), self.elapsed()

    def __call__(self) -> float:
        at = self.elapsed()
        self._last, self._at = max(self.wall(), self._last + at - self._at), at
        return self._last
