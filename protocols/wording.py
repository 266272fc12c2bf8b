"""How messages for users quote what somebody wrote, and guess what was meant."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean", "escaped", "quote"]

_LONGEST = 200


def escaped(text: str) -> str:
    """The text with everything escaped that could move a cursor, hide, or not be encoded."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def quote(text: str) -> str:
    """The text in double quotes, escaped, and cut where it is long."""
    cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f'"{escaped(cut)}"'


def did_you_mean(word: str, candidates: Iterable[str], prefix: str = "") -> str:
    """The end of a message, ``; did you mean "wbs"?``, or nothing where no candidate is close.

    ``prefix`` is shown before the candidate: what all have in common would make each of them look close.
    """
    close = get_close_matches(word[:_LONGEST], candidates, n=1)
    return f"; did you mean {quote(prefix + close[0])}?" if close else ""
