"""The characters that the picture of a run is made of, and the text of others among them."""

from functools import lru_cache
from typing import NamedTuple

from actors.cells import fit, width
from protocols.glyphs import simplify

__all__ = ["Look", "clipped", "shown"]

_LONGEST = 1000  # characters of one text: more than any row shows


class _Glyphs(NamedTuple):
    """One cell each. Those of the states come before the figures: none of them is wide in any East Asian terminal."""

    states: dict[str, str]
    trouble: str
    full: str
    empty: str
    tail: str
    cut: str
    more: str


_UNICODE = _Glyphs(
    {
        "running": "►",
        "retrying": "↻",
        "restarting": "↻",
        "pending": "◦",
        "succeeded": "✓",
        "failed": "✗",
        "timed-out": "✗",
        "parked": "✗",
        "skipped": "-",
        "stopped": "▪",
    },
    trouble="!",
    full="█",
    empty="░",
    tail="│",
    cut="…",
    more="…",
)
_ASCII = _Glyphs(
    {
        "running": ">",
        "retrying": "@",
        "restarting": "@",
        "pending": ".",
        "succeeded": "+",
        "failed": "x",
        "timed-out": "x",
        "parked": "x",
        "skipped": "-",
        "stopped": "=",
    },
    trouble="!",
    full="#",
    empty=".",
    tail="|",
    cut="~",
    more="...",
)


class Look(NamedTuple):
    """How a picture looks."""

    ascii_only: bool = False

    @property
    def glyphs(self) -> _Glyphs:
        return _ASCII if self.ascii_only else _UNICODE

    def bar(self, fraction: float, size: int) -> str:
        """``size`` cells, of which ``fraction`` are full; all of them only where that is 1."""
        full = min(max(int(fraction * size), 0), size)
        return self.glyphs.full * full + self.glyphs.empty * (size - full)


@lru_cache(8192)
def shown(text: str, look: Look) -> str:
    """A text of others, safe to show."""
    return simplify(text[:_LONGEST], ascii_only=look.ascii_only)


def clipped(text: str, size: int, look: Look) -> str:
    """The text, of which we know that it is safe, in at most ``size`` cells."""
    return text if width(text) <= size else fit(text, size, mark=look.glyphs.cut)
