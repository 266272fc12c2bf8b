"""What is at work in the whole tree of a fleet, and figures of it."""

import msgspec

from protocols.port_view import list_runs
from protocols.states import RunView
from protocols.task_tree import count_tree, walk

__all__ = ["Active", "Stats", "tell_active", "tell_stats"]

_AT_WORK = frozenset({"running", "retrying", "restarting"})


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """What is at work now."""

    tasks: tuple[str, ...]
    """That run, or wait for their next attempt."""
    runs: tuple[str, ...]
    """That have begun and not ended, by the names of their tasks; ``.`` is the fleet itself."""
    last_seq: int


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    tasks: dict[str, int]
    """How many of the whole tree have which status."""
    runs: int
    attempts: int
    output_bytes: int
    """Of all attempts and streams, as far as records cover them."""
    records: int
    """Of the journal."""
    seconds: float | None
    """Since the fleet began."""
    event_streams: int
    """Readers of ``/api/events``."""


def tell_active(view: RunView) -> Active:
    return Active(
        tasks=tuple(leaf.name for leaf in walk(view) if leaf.task.status in _AT_WORK),
        runs=tuple(each.task for each in list_runs(view) if each.started_at is not None and each.outcome is None),
        last_seq=view.last_seq,
    )


def tell_stats(view: RunView, now: float, event_streams: int) -> Stats:
    """``now`` in Unix time."""
    attempts = [attempt for leaf in walk(view) for attempt in leaf.task.attempts]
    return Stats(
        tasks=count_tree(view),
        runs=sum(1 for _ in list_runs(view)),
        attempts=len(attempts),
        output_bytes=sum(sum(attempt.output.values()) for attempt in attempts),
        records=view.last_seq,
        seconds=None if view.started_at is None else now - view.started_at,
        event_streams=event_streams,
    )
