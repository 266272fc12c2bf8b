"""What actors of one process say to each other over channels."""

from typing import TypeAlias

import msgspec
import trio

from protocols.events import Event, Record
from protocols.ids import OutboxKey, RunId

__all__ = [
    "Append",
    "Follow",
    "FollowRequest",
    "Greeting",
    "Grown",
    "Lagged",
    "Said",
    "Subscribe",
    "Unfollow",
]


class Append(msgspec.Struct, frozen=True):
    """To the journal: write this event down."""

    event: Event
    committed: trio.Event | None = None
    """Set once the event is on disk, for a sender whose next step relies on it."""
    key: OutboxKey | None = None
    """Where it comes out of an outbox: it is written down once, however often it comes."""


class Lagged(msgspec.Struct, frozen=True):
    """To a subscriber that is too slow: records are left out, beginning with number ``first``.

    The next record that comes ends the gap. All of it is in the journal when this message is read, so that a
    subscriber that reads the journal to its end misses nothing.
    """

    first: int


class Subscribe(msgspec.Struct, frozen=True):
    """To the hub: send all records from now on. The hub owns ``outbox`` and closes it at the end."""

    outbox: trio.MemorySendChannel[Record | Lagged]
    """With room for two messages at least: the last place is kept for `Lagged`."""
    registered: trio.Event | None = None
    """Set once no later record can pass unseen."""

    def __post_init__(self) -> None:
        if self.outbox.statistics().max_buffer_size < 2:
            raise ValueError("a subscriber needs a buffer of two messages or more")


class Grown(msgspec.Struct, frozen=True):
    """From the follower: the file that is followed as ``key`` is not as long as it was."""

    key: str


class Follow(msgspec.Struct, frozen=True):
    """To the follower: tell ``grown`` whenever this file has grown.

    A notice means "look": where the channel is full it is dropped. A file that has bytes in it is told at once.
    Sent again for the same key, it replaces what was said before.
    """

    key: str
    fd: int
    """Of the sender, open until `Unfollow` is done."""
    grown: trio.MemorySendChannel[Grown]
    interval: float | None = None
    """Seconds between two notices while the file goes on growing. None: the follower's ``flush_interval``."""


class Unfollow(msgspec.Struct, frozen=True):
    """To the follower: no more notices for this key."""

    key: str
    done: trio.Event
    """Set once the descriptor may be closed."""


class Said(msgspec.Struct, frozen=True):
    """To a live display: something that no record tells, such as that the journal cannot be written."""

    about: str
    """What is said of the same subject later takes its place."""
    text: str
    """May hold control characters. Empty: it is over."""


class Greeting(msgspec.Struct, frozen=True):
    """From the control port: somebody says that it is an instance of ours."""

    token: str
    run: RunId
    answer: trio.MemorySendChannel[str]
    """Of one slot: gets the path of the instance; nothing where we know no such token."""


FollowRequest: TypeAlias = Follow | Unfollow
