"""What all connections of a port share."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from trio_websocket import WebSocketConnection

from actors.port.access import Access
from actors.port.limits import PortLimits
from protocols.peer import Peer

__all__ = ["App", "Message", "PortCounts", "RpcHandler", "Service"]

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
"""An ASGI 3 application, such as one of Starlette."""

RpcHandler: TypeAlias = Callable[[WebSocketConnection, Peer], Awaitable[None]]
"""Serves one WebSocket until it is closed: then ConnectionClosed is raised to it, which it may let through. It must
take messages at all times, or pings are not answered. What it sends comes whole, or closes the connection. It may not
ask for ``remote`` (a Unix socket has none): `Peer.address` is there."""


@dataclass(slots=True)
class PortCounts:
    """Since the port was opened, but for what is open now."""

    open: int = 0
    accepted: int = 0
    requests: int = 0
    websockets: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    """By status of HTTP: what was answered without asking the app."""
    failed: int = 0
    """Connections that an error of ours ended; see the log."""

    def refuse(self, status: int) -> None:
        self.refused[status] = self.refused.get(status, 0) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    app: App
    rpc: RpcHandler
    access: Access
    limits: PortLimits
    counts: PortCounts
