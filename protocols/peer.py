"""Who asks at the port, and how much it may do there."""

from typing import Literal, TypeAlias

import msgspec

from protocols.ids import AttemptId

__all__ = ["Need", "Peer", "Scope"]

Scope: TypeAlias = Literal["worker", "read", "operate", "admin"]
"""Each may do what those before it may. ``worker`` is one of the fleet's own: it reads, and acts only where a method
is made for workers."""

Need: TypeAlias = Literal["read", "operate", "admin"]
"""The least scope that a request takes: to look; to act on tasks and answer permissions; to end the fleet."""

_LEVELS: dict[Scope, int] = {"worker": 0, "read": 0, "operate": 1, "admin": 2}


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One that was let in. It goes with each of its requests: ``scope["state"]["peer"]`` of ASGI, and the second
    argument of the handler of a WebSocket."""

    scope: Scope
    who: str
    """For the audit: ``user 1000``, ``token admin``, ``token dashboard``, ``worker ATTEMPT``. Never a secret."""
    address: str
    """``127.0.0.1:40312``, or ``unix``."""
    pid: int = 0
    """Of the process that connected, on the Unix socket; 0: unknown."""
    attempt: AttemptId | None = None
    """Whose worker it is, where ``scope`` is ``worker``; None there: a process of this fleet that shows no mark."""

    expires: int = 0
    """Unix time: what it was let in by is worth nothing from then on; 0: for ever."""

    def may(self, need: Need) -> bool:
        return _LEVELS[self.scope] >= _LEVELS[need]
