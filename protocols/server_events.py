"""What is recorded of the agent servers themselves."""

from typing import TypeAlias

from protocols.bases import BaseEvent
from protocols.session_events import ServerOther

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


ServerEvent: TypeAlias = ServerStarted | ServerEnded | ServerOther
