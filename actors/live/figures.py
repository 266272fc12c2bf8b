"""The figures of a worker as text that is never wider than its column."""

from math import ceil

from protocols.durations import format_duration, format_elapsed

__all__ = ["clock", "count", "percent", "quiet", "took"]

_MINUTE, _HOUR, _DAY = 60, 3600, 24 * 3600
_EXACT = 100_000


def clock(seconds: float) -> str:
    """A time that goes on: 0:07, 12:07, 1:02:07, then 12h 07m and 4d 07h. At most 7 characters below 100 days."""
    whole = max(int(seconds), 0)
    if whole < _HOUR:
        return f"{whole // 60}:{whole % 60:02}"
    hours, minutes = whole // _HOUR, whole % _HOUR // 60
    if hours < 10:
        return f"{hours}:{minutes:02}:{whole % 60:02}"
    return f"{hours}h {minutes:02}m" if hours < 100 else f"{hours // 24}d {hours % 24:02}h"


def took(seconds: float) -> str:
    """A time that is over: 250ms, 12.3s, then as a clock."""
    return format_elapsed(seconds) if seconds < _MINUTE - 0.05 else clock(seconds)


def quiet(seconds: float) -> str:
    """How long nothing came: quiet 8s, quiet 12m, quiet 3h, quiet 2d."""
    whole = int(seconds)
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if whole >= size:
            return f"quiet {whole // size}{unit}"
    return f"quiet {whole}s"


def count(number: int, exact: bool) -> str:
    """A number of lines in 13 characters: ~1,420 lines, 142k lines."""
    text = f"{number:,}" if number < _EXACT else _rounded(number)
    return f"{text if exact else '~' + text:>7} {'line ' if number == 1 else 'lines'}"


def percent(fraction: float) -> str:
    """In 4 characters; 100% only where it is all."""
    return f"{min(max(int(fraction * 100 + 1e-9), 0), 100):3}%"


def whole_seconds(seconds: float) -> str:
    """A time that is left: the last second is 1s."""
    return format_duration(max(ceil(seconds), 0))


def _rounded(number: int) -> str:
    size = number / 1000
    for unit in "kMG":
        if size < 999.5:
            return f"{size:.1f}{unit}" if size < 9.95 else f"{size:.0f}{unit}"
        size /= 1000
    return f"{size:.0f}T"
