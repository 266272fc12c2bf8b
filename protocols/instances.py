"""Callboards that a callboard starts: what a plan wants of one, what it may do, and what it is handed.

What an instance may do only shrinks from level to level: `narrow` makes the bounds of the next level, and an instance
that is handed more than `fits` says refuses to run.
"""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from protocols.ids import TaskId

__all__ = ["HANDOVER", "ROOT", "Bounds", "Handover", "Instance", "find_excess", "fits", "narrow"]

HANDOVER = "CALLBOARD_INSTANCE"
"""The variable that names the file of the `Handover`."""
ROOT = "root"
"""What paths of instances begin with: the callboard that a person started."""
_SHARE = 0.8  # of a grace: the rest is for what the instance itself has to do at its end


_Natural = Annotated[int, msgspec.Meta(ge=0)]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a callboard and all below it may do at most."""

    depth: _Natural = 3
    """Levels of instances below it."""
    fan_out: _Natural = 32
    """Tasks of one run that are instances."""
    concurrency: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """Tasks of one run at once."""
    timeout: _Seconds | None = None
    """Seconds for each attempt of a task."""
    grace: _Seconds | None = None
    """Seconds between TERM and KILL."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """What a task says of the callboard that it is. None: as much as there is."""

    plan: str = ""
    """The path of its plan; empty where another task gives it."""
    giver: TaskId | None = None
    """The task whose output is its plan."""
    depth: int | None = None
    fan_out: int | None = None
    concurrency: int | None = None


class Handover(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an instance is told by the callboard that starts it, in a file that only its user can read."""

    path: str
    """Of the instance, such as ``root/build``."""
    bounds: Bounds
    token: Annotated[str, msgspec.Meta(min_length=32)]
    """With it, it may say at the socket of its callboard that it is there, and nothing else."""
    parent: str
    """The folder of the run that started it."""
    runs: str
    """Its state folder, which lies in that."""
    given: bool = False
    """Another task gave its plan, which may be another one than at the attempt before."""
    durable: bool = False
    """It goes on when the callboard that started it is gone, which follows it again once that is resumed."""


def narrow(bounds: Bounds, wanted: Instance, *, timeout: float | None, grace: float) -> Bounds:
    """What an instance may do. ``timeout`` and ``grace`` in seconds: those of its task."""
    return Bounds(
        depth=max(min(bounds.depth - 1, bounds.depth if wanted.depth is None else wanted.depth), 0),
        fan_out=_least(bounds.fan_out, wanted.fan_out),
        concurrency=_least(bounds.concurrency, wanted.concurrency),
        timeout=bounds.timeout
        if timeout is None
        else min(timeout, timeout if bounds.timeout is None else bounds.timeout),
        grace=min(grace, grace if bounds.grace is None else bounds.grace) * _SHARE,
    )


def _least(bound: int, wanted: int | None) -> int:
    return bound if wanted is None else min(bound, wanted)


def find_excess(bounds: Bounds, wanted: Instance) -> Iterator[tuple[str, str]]:
    """Where a plan wants more than there is: the key, and what is wrong there."""
    if bounds.depth < 1:
        yield "", "no more levels of instances are left here; run this plan without it, or give depth further up"
        return
    if wanted.depth is not None and wanted.depth > bounds.depth - 1:
        yield "depth", f"{wanted.depth}, but below it there may be only {bounds.depth - 1}; write less, or leave it out"
    for key, asked, most in (
        ("fan_out", wanted.fan_out, bounds.fan_out),
        ("concurrency", wanted.concurrency, bounds.concurrency),
    ):
        if asked is not None and asked > most:
            yield key, f"{asked}, but here it is at most {most}; write less, or leave it out"


def fits(inner: Bounds, outer: Bounds) -> bool:
    """An instance may have ``inner`` below a callboard that has ``outer``."""
    return (
        0 <= inner.depth < outer.depth
        and inner.fan_out <= outer.fan_out
        and inner.concurrency <= outer.concurrency
        and _is_within(inner.timeout, outer.timeout)
        and _is_within(inner.grace, outer.grace)
    )


def _is_within(inner: float | None, outer: float | None) -> bool:
    return outer is None or (inner is not None and inner <= outer)
