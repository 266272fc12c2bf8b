"""What the actors around an agent server say to each other.

One server has one `StreamReader`, one router, one reconciler and as many sessions as live on it. The reader tells the
router, the router tells the sessions; sessions register with the router **before** they prompt, and prompt only while
connected. The router tells the reader which directories there are, and the reconciler what it wants to know.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from protocols.opencode import Envelope, Snapshot

__all__ = [
    "Arrived",
    "Connected",
    "Disconnected",
    "Endpoint",
    "Look",
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
    password: str = field(default="", repr=False)
    """Empty: it asks for none."""
    user: str = "opencode"


@dataclass(frozen=True, slots=True)
class Connected:
    """The stream is there, from this moment on. What happened before is to be reconciled: a `Snapshot` follows."""

    boot: int
    """Another number than before: it is another process, or may be; nothing of the one before is known to hold."""
    directory: str = ""
    """Only the events of this one come; empty: those of all."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    why: str
    directory: str = ""
    """As of `Connected`."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What one read of the stream held, in its order."""

    events: Sequence[Envelope]
    broken: int = 0
    """Events that could not be understood."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Events of this session were dropped, because it did not take them in time; a `Snapshot` follows."""

    count: int


@dataclass(frozen=True, slots=True)
class Register:
    """A session that is one of ours. ``inbox`` (bounded) gets `SessionInput`, its children's events too: `Connected` if
    the stream is there, `Disconnected` if it is known why not, then what came for it already, then a `Snapshot`. The
    router owns it from then on, and closes it after `Unregister` and at its own end."""

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


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the server about these sessions of one directory. Each gets a `Snapshot`, and each of its children."""

    directory: str
    sessions: tuple[str, ...]
    thorough: bool = True
    """False: children that are idle and did not change since the last look are left out."""


SessionInput: TypeAlias = Connected | Disconnected | Envelope | Snapshot | Missing
RouterInput: TypeAlias = Register | Unregister | Reconcile | Connected | Disconnected | Arrived | Snapshot
