"""What is recorded of the agent servers themselves."""

from typing import TypeAlias

from protocols.bases import BaseEvent

__all__ = ["ServerEnded", "ServerEvent", "ServerOther", "ServerStarted"]


class ServerStarted(BaseEvent, frozen=True, kw_only=True, tag="server.started"):
    """It answers; or, of somebody else's, it is found."""

    server: str
    """Its name, such as ``coder-1``."""
    url: str
    version: str
    boot: int
    """From 1; another process than before has another number."""
    pid: int
    """0: somebody else runs it."""


class ServerEnded(BaseEvent, frozen=True, kw_only=True, tag="server.ended"):
    """It died, did not come up, or is not needed any more."""

    server: str
    boot: int
    why: str
    """For people."""
    again_in: float | None
    """Seconds until it is started again; None: it is not."""
    given_up: bool = False
    """It is not started again though it is wanted."""


class ServerOther(BaseEvent, frozen=True, kw_only=True, tag="server.other"):
    """Events of a type that nobody of us knows; they are passed on to the session that they are about."""

    server: str
    name: str
    """Their type; empty for all those beyond the first 256."""
    count: int
    """So far."""


ServerEvent: TypeAlias = ServerStarted | ServerEnded | ServerOther
