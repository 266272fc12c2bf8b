"""How many lines a worker printed: counted where there was time, estimated for the rest."""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LineCount", "total_lines"]

_HOLD = 0.9
"""An estimate that falls by less than a tenth is no news: the one before it may be as good."""


@dataclass(frozen=True, slots=True)
class LineCount:
    """The lines in the first ``counted`` bytes of one stream."""

    counted: int = 0
    ends: int = 0
    """How many of the bytes are newlines."""
    unfinished: bool = False
    """The last of the bytes is none."""

    @property
    def lines(self) -> int:
        """As the report counts them: a last line without its end counts too, also while the worker runs."""
        return self.ends + self.unfinished

    def extended(self, chunk: bytes) -> "LineCount":
        """With the bytes that follow. Holds the GIL for about half a millisecond per MB."""
        if not chunk:
            return self
        return LineCount(self.counted + len(chunk), self.ends + chunk.count(b"\n"), not chunk.endswith(b"\n"))

    def estimate(self, size: int) -> float:
        """How many there may be in ``size`` bytes, if the rest is like what was counted."""
        if size <= self.counted:
            return self.lines
        return self.lines + (size - self.counted) * (self.ends / self.counted if self.counted else 0.0)


def total_lines(
    streams: Iterable[tuple[LineCount, int]], before: tuple[int, bool] | None = None
) -> tuple[int, bool] | None:
    """The lines of streams with their sizes, and whether that is exact: all bytes of them were counted.

    None where nothing of one that has bytes was counted. What is not exact has two significant digits, is never less
    than what was counted, and no less than ``before`` (what was told of the same streams last) without need.
    """
    found = list(streams)
    if any(not count.counted and size > 0 for count, size in found):
        return None
    counted = sum(count.lines for count, _ in found)
    if all(count.counted >= size for count, size in found):
        return counted, True
    estimate = sum(count.estimate(size) for count, size in found)
    number = max(_rounded(estimate), counted)
    if before is not None and number < before[0] and estimate >= before[0] * _HOLD:
        number = before[0]
    return number, False


def _rounded(number: float) -> int:
    return int(round(number, min(2 - len(str(int(number))), 0)))
