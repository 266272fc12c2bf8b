"""What is said of an agent server that callboard starts or uses, and what is asked of it to look after it."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from actors.session_messages import Endpoint

__all__ = ["ServerCalls", "ServerGone", "ServerReady", "ServerState"]


@dataclass(frozen=True, slots=True)
class ServerReady:
    """It answers."""

    server: str
    """Its name, such as ``opencode-1``."""
    boot: int
    """From 1; another process than before has another number."""
    endpoint: Endpoint
    """The same for all boots."""
    version: str
    pid: int
    """0: somebody else runs it."""


@dataclass(frozen=True, slots=True)
class ServerGone:
    """It ended, or did not come up; its sessions have lost what they were doing."""

    server: str
    boot: int
    why: str
    """For the user: what, where, what to do."""
    again_in: float | None
    """Seconds until it is started again; None: it is not."""
    given_up: bool = False
    """It is not started again though it is wanted."""


ServerState: TypeAlias = ServerReady | ServerGone


class ServerCalls(Protocol):
    """What is asked of `actors.opencode_client.OpenCodeClient` here. Each raises `ServerError`, in time."""

    async def health(self, deadline: float = 0.8) -> str: ...
    async def session_status(self, directory: str) -> bytes: ...
    async def abort(self, session: str) -> None: ...
