"""What a session's worker has of its server, as long as it lives there."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import trio

from actors.session_messages import Endpoint, RouterInput
from protocols.agents import Agent

__all__ = ["Lease", "OpenLease", "SessionClient"]


class SessionClient(Protocol):
    """The calls of `actors.opencode_client.OpenCodeClient` that a session needs. Each raises `ServerError`."""

    async def create_session(
        self,
        directory: str,
        title: str = "",
        parent: str = "",
        permission: Sequence[Mapping[str, str]] = (),
        agent: str = "",
        model: str = "",
    ) -> bytes: ...

    async def prompt(self, session: str, body: bytes) -> None: ...

    async def abort(self, session: str) -> None: ...

    async def reply_permission(
        self,
        permission: str,
        reply: Literal["once", "always", "reject"],
        message: str = "",
        *,
        session: str,
        directory: str = "",
    ) -> None: ...

    async def reject_question(self, question: str, *, directory: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Lease:
    """A place on one server, which may come and go meanwhile under the same address."""

    server: str
    """What the pool calls it."""
    endpoint: Endpoint
    client: SessionClient
    router: trio.MemorySendChannel[RouterInput]
    given_up: trio.Event = field(default_factory=trio.Event)
    """Set when the server is gone for good."""
    why: Callable[[], str] = str
    """Why it is gone then."""


class OpenLease(Protocol):
    """A place on a server of this agent, for a session in this directory, on the server of this name if there is a
    name, as soon as there is one. Raises `ServerError` or `KeeperError`."""

    def __call__(
        self, agent: Agent, directory: str, server: str = "", *, durable: bool = False
    ) -> AbstractAsyncContextManager[Lease]: ...
