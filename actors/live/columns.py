"""Which columns the workers' rows have, and how wide: the same for all, and steady from picture to picture."""

from functools import lru_cache
from typing import NamedTuple

from actors.cells import width
from actors.live.look import Look, shown
from protocols.board import Board
from protocols.durations import format_duration

__all__ = ["Columns", "choose_columns", "timeout_text"]

GAP = 2
LEAD = 3
"""The margin, the glyph and a space."""
STATE = 10
BYTES = 7
LINES = 13
RATE = 9
BAR = 10
_TEXT = 14  # cells that the other columns leave to the text at the end
_ID, _ID_LEAST, _ROLE = 32, 8, 12
_CLOCK, _LONG_CLOCK = 5, 7
_HOUR = 3600.0


class Columns(NamedTuple):
    """Widths in cells, 0 for a column that is left out. Between two columns is a `GAP`.

    Compared by identity: they are remembered, and rows are looked up by them.
    """

    total: int
    id: int
    role: int
    state: int
    clock: int
    timeout: int
    """Joins the clock without a gap."""
    bytes: int
    lines: int
    rate: int
    bar: int
    at_clock: int
    """Where the clock begins, and the text of those that have no figures."""
    at_rate: int
    """Where the text of those begins that have ended."""
    at_bar: int
    """Where the bar begins, or the text of those that have none."""


def choose_columns(board: Board, total: int, now: float, look: Look) -> Columns:
    """Columns for a screen ``total`` cells wide."""
    view = board.view
    tasks = board.tasks
    timeouts = frozenset(task.timeout for task in tasks.values())
    return _choose(
        total,
        _longest(tuple(tasks), look),
        _longest(tuple({task.role for task in tasks.values()}), look),
        _LONG_CLOCK if now - (view.started_at or now) >= _HOUR else _CLOCK,
        max((len(_timeout(seconds)) for seconds in timeouts), default=0),
    )


def timeout_text(seconds: float | None) -> str:
    """What stands behind the clock of one that has a timeout."""
    return "" if seconds is None else _timeout(seconds)


@lru_cache(256)
def _timeout(seconds: float | None) -> str:
    return "" if seconds is None else f" / {format_duration(seconds)}"


@lru_cache(16)
def _longest(texts: tuple[str, ...], look: Look) -> int:
    return max((width(shown(text, look)) for text in texts), default=0)


@lru_cache(16)
def _choose(total: int, longest_id: int, longest_role: int, clock: int, timeout: int) -> Columns:
    """One column after the other, the most telling first, as long as the text at the end has its room."""
    room = total - LEAD - GAP - clock
    id_size = max(min(longest_id, _ID, max(total // 4, _ID_LEAST), room), 1)
    room -= id_size
    sizes: dict[str, int] = {}
    for name, size, gap, least in (
        ("state", STATE, GAP, 0),
        ("timeout", timeout, 0, _TEXT),
        ("bar", BAR, 1, _TEXT),
        ("bytes", BYTES, GAP, _TEXT),
        ("rate", RATE, GAP, _TEXT),
        ("lines", LINES, GAP, _TEXT),
        ("role", min(longest_role, _ROLE), GAP, _TEXT),
    ):
        if size and room - size - gap < least:
            break
        sizes[name] = size
        room -= size + gap if size else 0
    return _place(total, id_size, clock, sizes)


def _place(total: int, id_size: int, clock: int, sizes: dict[str, int]) -> Columns:
    names = ("role", "state", "timeout", "bytes", "lines", "rate", "bar")
    role, state, timeout, size, lines, rate, bar = (sizes.get(name, 0) for name in names)
    at_clock = LEAD + _with_gaps(id_size, role, state)
    at_rate = at_clock + clock + timeout + GAP + _with_gaps(size, lines)
    at_bar = at_rate + _with_gaps(rate)
    return Columns(total, id_size, role, state, clock, timeout, size, lines, rate, bar, at_clock, at_rate, at_bar)


def _with_gaps(*sizes: int) -> int:
    return sum(size + GAP for size in sizes if size)
