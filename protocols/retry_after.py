"""The header ``Retry-After`` of HTTP (RFC 9110, section 10.2.3): seconds, or a date."""

import re
from email.utils import parsedate_to_datetime

__all__ = ["read_retry_after"]

_LONGEST = 30 * 24 * 3600.0


def read_retry_after(text: str, at: float) -> float | None:
    """The Unix time that it names, in an answer of the moment ``at``; at most 30 days later. None: it names none."""
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", text.strip()):
        return at + min(float(text), _LONGEST)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(until, at), at + _LONGEST)
