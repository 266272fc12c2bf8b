"""Durations in flags."""

from protocols.durations import parse_duration
from protocols.errors import InputError

__all__ = ["read_flag", "read_grace"]


def read_flag(flag: str, text: str) -> float:
    """Seconds. Raise InputError."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"{flag}: {error}") from error


def read_grace(text: str | None) -> float | None:
    return None if text is None else read_flag("--grace", text)
