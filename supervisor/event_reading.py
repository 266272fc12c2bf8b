"""The records of a run for somebody who reads them, as far as they are wanted."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import get_args

from protocols.errors import InputError
from protocols.events import Record
from protocols.port_params import Wanted
from protocols.topics import Topic, topics_of
from protocols.wording import did_you_mean, quote
from supervisor.fleets import Fleet
from supervisor.following import read_batches
from supervisor.up_state import is_up

__all__ = ["read_topics", "tell_events"]

_TOPICS: tuple[Topic, ...] = get_args(Topic)


def read_topics(names: tuple[str, ...]) -> frozenset[Topic]:
    """Empty: all. Raise InputError."""
    for name in names:
        if name not in _TOPICS:
            guess = did_you_mean(name, _TOPICS) or f"; there are: {', '.join(_TOPICS)}"
            raise InputError(f"--topic: there is no topic {quote(name)}{guess}")
    return frozenset(topic for topic in _TOPICS if topic in names)


def tell_events(
    state: Path,
    fleet: Fleet,
    after: int,
    topics: frozenset[Topic],
    tell: Callable[[list[Record]], None],
    *,
    follow: bool = False,
) -> None:
    """``tell`` gets the records behind number ``after``, in batches; to follow, all until the run ends.

    A supervisor that lives is followed at its port, so that a restart of it is a pause; all else in the journal. Raise
    as `read_batches`, UnreachableError, and what ``tell`` raises.
    """
    if follow and is_up(state) and fleet.identity is not None and fleet.identity.standing and fleet.is_alive():
        after = _follow_port(state, after, topics, tell)
        follow = False  # the end of the run is told when nobody serves any more: it is in the journal
    for batch in read_batches(fleet, after, follow=follow):
        _tell_wanted(batch, topics, tell)


def _tell_wanted(batch: list[Record], topics: frozenset[Topic], tell: Callable[[list[Record]], None]) -> None:
    if wanted := [each for each in batch if not topics or topics & topics_of(each.event)]:
        tell(wanted)


def _follow_port(state: Path, after: int, topics: frozenset[Topic], tell: Callable[[list[Record]], None]) -> int:
    """Until the supervisor has ended in order. Return the number of the last record; raise UnreachableError where it
    was killed and nobody starts another one."""
    from actors.rpc_connection import GoneError  # noqa: PLC0415
    from supervisor.client import Client  # noqa: PLC0415 - whoever reads journals needs nothing of the port
    from supervisor.port_access import ask_port  # noqa: PLC0415

    wanted = Wanted(
        topics=(*topics, "run") if topics else None,  # with the end of the run all of this ends
        workers="all" if not topics or "log" in topics else (),
    )

    async def follow(client: Client) -> None:
        nonlocal after
        async with client.subscribe(wanted, after) as records:
            async for batch in records:
                _tell_wanted(batch, topics, tell)
                after = batch[-1].seq

    with suppress(GoneError):
        ask_port(state, follow)
    return after
