"""Where to look at a worker, and what one look at it showed."""

from typing import NamedTuple

from protocols.evidence import Mark
from protocols.ids import WorkerId
from protocols.kinds import Source, Stream
from protocols.prompts import Prompt

__all__ = ["Glimpse", "Sight", "Tail", "Wanted"]


class Tail(NamedTuple):
    """An end of output that is new."""

    stream: Stream
    """The one that grew last."""
    since: int
    """Where its end was at the look before, if that was at the same stream."""
    end: int
    size: int
    """Bytes of all streams."""
    alone: bool
    """All that is new is in this stream."""


class Wanted(NamedTuple):
    """Whom to look at, and where."""

    worker: WorkerId
    attempt: int
    source: Source
    process: tuple[int, int] | None
    """Pid and start time of its leader; None while it has none, or where it is a file that is followed."""
    tail: Tail | None
    """What is to be read; None where nothing is new."""
    window: tuple[int, int] | None = None
    """Columns and rows of its terminal, where it has one."""


class Glimpse(NamedTuple):
    """What the screen of a worker on a terminal shows."""

    mark: Mark | None
    prompt: Prompt | None
    settled: bool
    """Nothing changes on it, or nothing that says anything: only then a prompt is one."""
    grown: bool
    """It was painted on since the last look."""
    new: bool
    """And that showed something new."""


class Sight(NamedTuple):
    """What one look at a worker showed."""

    alive: bool = True
    """Its leader has not ended."""
    cpu: float | None = 0.0
    """CPU seconds that its tree has used in all; None where that cannot be read."""
    partial: bool = False
    """It has used more than that."""
    descendants: int = 0
    zombies: int = 0
    spooled: int = 0
    """Bytes of its output that are on disk."""
    mark: Mark | None = None
    asks: str | None = None
    """What it asks with the last of its output."""
    new: bool = True
    """Its output shows something that it did not show at the look before, as far as that can be told."""
    glimpse: Glimpse | None = None
    """Where its screen was read, which then tells all of this instead."""
