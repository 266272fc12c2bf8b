"""Durations as people write them: "90s", "10m", "1h30m", "500ms"."""

import re

__all__ = ["format_duration", "format_elapsed", "parse_duration"]

_FORM = re.compile(
    r"(?:(?P<h>[0-9]+(?:\.[0-9]+)?)h)?"
    r"(?:(?P<m>[0-9]+(?:\.[0-9]+)?)m(?!s))?"
    r"(?:(?P<s>[0-9]+(?:\.[0-9]+)?)s)?"
    r"(?:(?P<ms>[0-9]+(?:\.[0-9]+)?)ms)?"
)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LONGEST = 366 * 24 * 3600.0  # more is a slip of the pen, and timers of the kernel overflow somewhere above


def parse_duration(text: str) -> float:
    """The seconds that ``text`` means. Raises ValueError, with what to write instead."""
    match = _FORM.fullmatch(text)
    if not text or match is None:
        if re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text):
            raise ValueError(f'a duration needs a unit; write "{text}s"')
        raise ValueError('not a duration; write it like "90s", "10m", "1h30m" or "500ms"')
    seconds = sum(float(number) * _SECONDS[unit] for unit, number in match.groupdict().items() if number)
    if seconds > _LONGEST:
        raise ValueError('longer than a year; write at most "8784h"')
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest of the forms above, to the millisecond: 5400 is "1h30m", 0.25 is "250ms"."""
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest / 1000:g}s" if rest else ""]
    return "".join(parts) or "0s"


def format_elapsed(seconds: float) -> str:
    """A measured time with as many digits as matter: <1ms, 250ms, 12.3s, 1h5m30s."""
    if seconds < 0.0005:
        return "<1ms"
    return format_duration(round(seconds, 3 if seconds < 1 else 1 if seconds < 60 else 0))
