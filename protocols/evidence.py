"""What is known of one worker at one moment, from all who watch it: the input of a verdict."""

from collections.abc import Iterator
from math import inf
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Evidence", "contradictions"]

Doing: TypeAlias = Literal["reading", "thinking", "working", "testing"]

_AHEAD = 1.0  # seconds: two looks at a clock, by two who watch, are not one moment
_LIMIT = 1e12  # beyond any time in seconds and any count that a machine of today can mean
_RATE_MEMORY = 60.0  # no rate outlives its last byte for longer, see `protocols.rate`


class Exit(msgspec.Struct, frozen=True):
    """The leader of the tree has exited."""

    at: float
    code: int | None = None
    signal: str = ""
    """``SIGKILL`` and the like, where a signal ended it."""
    wanted: bool = False
    """Somebody stopped it."""
    reported: bool = True
    """False: its leader is not there any more, and nobody has told how it ended."""


class Question(msgspec.Struct, frozen=True):
    """It waits for an answer of somebody else."""

    since: float
    kind: Literal["permission", "question"] = "permission"
    text: str = ""
    """What it asks, where that is known. May hold odd characters."""


class Said(msgspec.Struct, frozen=True):
    """What its structured stream last said of itself. ``idle``: its turn is over, it can take another one;
    ``done`` and ``failed``: that was its result, it is about to exit."""

    word: Literal["busy", "idle", "done", "failed"]
    at: float
    """When it first said so: to repeat it is no news."""


class Mark(msgspec.Struct, frozen=True):
    """A marker in the end of its output, or an event of its stream that means the same."""

    doing: Doing
    text: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Moments are seconds of one monotonic clock, if not said otherwise; None is "never" or "not known".

    Who fills this in decides what is news: keep-alives of a connection and repeated states are no events, and what
    only paints the same again goes on in ``last_byte``, but says so in ``repeats_since``.
    """

    now: float
    wall: float
    """The same moment in Unix time. Where the two clocks drift apart, one of them jumped."""
    asked_at: float
    """When its start was asked for."""
    started_at: float | None = None
    exit: Exit | None = None
    reader_at: float | None = None
    """The last heartbeat of the actor that reads its output."""
    last_byte: float | None = None
    last_event: float | None = None
    """The last structured event that tells of its work."""
    last_beat: float | None = None
    """The last keep-alive of its stream: the connection lives, which says nothing of the work."""
    repeats_since: float | None = None
    """Since when its output only shows the same again, as a spinner does; None while it does not."""
    size: int = 0
    """Bytes of output in all."""
    rate: float = 0.0
    """Bytes per second, of the last seconds."""
    cpu: float | None = 0.0
    """CPUs that its tree used lately: seconds per second over at least 10 s. 0 where it has no process of its own; None
    where it cannot be read, and then nothing is ever confirmed to stand still."""
    descendants: int = 0
    """Living processes of its tree besides the leader."""
    zombies: int = 0
    """Children that ended and that it does not wait for."""
    writers: int | None = None
    """Processes that hold its output open."""
    blocked: str = ""
    """Why its output cannot be written: the worker waits for us."""
    question: Question | None = None
    quota_until: float | None = None
    """Unix time at which its quota is given back; infinite where nobody knows when."""
    children_busy: int = 0
    """Sessions that it started and that are at work by their own verdicts, not by their own word."""
    said: Said | None = None
    mark: Mark | None = None


def contradictions(evidence: Evidence) -> list[str]:
    """Why the evidence cannot be true, as short sentences; empty where it can.

    What has none is safe to compute with and to print: no moment or count is beyond all sense.
    """
    if not _sane(evidence.now) or not _sane(evidence.wall):
        return ["the time is no time"]
    return [*_moments(evidence), *_amounts(evidence), *_together(evidence)]


def _moments(evidence: Evidence) -> Iterator[str]:
    latest = evidence.now + _AHEAD
    exited, question, said = evidence.exit, evidence.question, evidence.said
    for what, at in (
        ("the request to start it", evidence.asked_at),
        ("its start", evidence.started_at),
        ("its exit", None if exited is None else exited.at),
        ("its last byte", evidence.last_byte),
        ("its last event", evidence.last_event),
        ("its last keep-alive", evidence.last_beat),
        ("the heartbeat of its reader", evidence.reader_at),
        ("the first repetition in its output", evidence.repeats_since),
        ("its question", None if question is None else question.since),
        ("its last word", None if said is None else said.at),
    ):
        if at is not None and not -_LIMIT < at <= latest:
            yield f"{what} lies in the future" if latest < at < _LIMIT else f"the moment of {what} is no time"


def _amounts(evidence: Evidence) -> Iterator[str]:
    exited, quota = evidence.exit, evidence.quota_until
    for what, amount in (
        ("output in all", evidence.size),
        ("output rate", evidence.rate),
        ("use of CPU", evidence.cpu),
        ("number of descendants", evidence.descendants),
        ("number of zombies", evidence.zombies),
        ("number of writers", evidence.writers),
        ("number of busy children", evidence.children_busy),
    ):
        if amount is not None and not 0 <= amount < _LIMIT:
            yield f"its {what} cannot be"
    if exited is not None and exited.code is not None and not _sane(exited.code):
        yield "its exit code cannot be"
    if quota is not None and not (_sane(quota) or quota == inf):
        yield "the end of its quota is no time"


def _together(evidence: Evidence) -> Iterator[str]:
    if (evidence.size > 0) != (evidence.last_byte is not None):
        yield "it has output without a last byte" if evidence.size > 0 else "it has a last byte without output"
    elif evidence.last_byte is not None and evidence.rate > 0 and evidence.now - evidence.last_byte > _RATE_MEMORY:
        yield "it has an output rate without output"
    if evidence.repeats_since is not None and evidence.last_byte is None:
        yield "it repeats an output that it does not have"
    if evidence.exit is None or evidence.started_at is None:
        return
    if evidence.exit.at < evidence.started_at - _AHEAD:
        yield "it exited before it started"


def _sane(value: float) -> bool:
    return -_LIMIT < value < _LIMIT
