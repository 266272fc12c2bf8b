"""How much, and how long, the port takes from whoever connects."""

from dataclasses import dataclass

__all__ = ["PortLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLimits:
    """Durations in seconds, sizes in bytes."""

    header: float = 10.0
    """From the connection, or the first byte of a later request, to the end of its headers; a TLS handshake too."""
    body: float = 30.0
    """From the end of the headers to the end of the body."""
    send: float = 10.0
    """For each 64 KiB."""
    idle: float = 30.0
    """Between two requests."""
    token: float = 5.0
    """For a WebSocket's first frame, where the handshake had no token."""
    ping: float = 20.0
    """Between two pings of a WebSocket."""
    pong: float = 10.0
    """For the answer to one."""
    header_size: int = 16 * 1024
    body_size: int = 1024 * 1024
    """Of a message of a WebSocket too, there in characters."""
    connections: int = 2048
    per_peer: int = 1536
    """From one address; on the Unix socket, of one user."""
    farewell: float = 0.7
    """For all connections together, at the end of the port."""
