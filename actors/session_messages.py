"""What the actors around an agent server say to each other.

One server has one `StreamReader`, one router and as many sessions as live on it. The reader tells the router, the
router tells the sessions; sessions register with the router **before** they prompt, and prompt only while connected.
"""

from dataclasses import dataclass
from typing import TypeAlias

import trio

from protocols.opencode import Envelope, Snapshot

__all__ = [
    "Connected",
    "Disconnected",
    "Endpoint",
    "Missing",
    "Reconcile",
    "Register",
    "RouterInput",
    "SessionInput",
    "Unregister",
]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is, and how it knows us."""

    url: str
    """Without a slash at its end."""
    password: str = ""
    """Empty: it asks for none."""
    user: str = "opencode"


@dataclass(frozen=True, slots=True)
class Connected:
    """The stream is there, from this moment on. What happened before is to be reconciled: a `Snapshot` follows."""

    boot: int
    """Another number than before: it is another process, or may be; nothing of the one before is known to hold."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    why: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Events of this session were dropped, because it did not take them in time; a `Snapshot` follows."""

    count: int


@dataclass(frozen=True, slots=True)
class Register:
    """A session that is one of ours. ``inbox`` (bounded) gets `SessionInput`, its children's events too, beginning with
    what came for it already, and with `Connected` if the stream is there."""

    session: str
    directory: str
    inbox: trio.MemorySendChannel["SessionInput"]


@dataclass(frozen=True, slots=True)
class Unregister:
    session: str


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Somebody doubts: ask the server now. A `Snapshot` follows, of this session and of its children."""

    session: str


SessionInput: TypeAlias = Connected | Disconnected | Envelope | Snapshot | Missing
RouterInput: TypeAlias = Register | Unregister | Reconcile | Connected | Disconnected | Envelope | Snapshot
