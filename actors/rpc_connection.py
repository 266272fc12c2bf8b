"""One WebSocket to a JSON-RPC server, from its handshake to its end."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream

from protocols.errors import FleetError, UnreachableError

__all__ = ["BROKEN", "GoneError", "Header", "explain", "open_rpc_socket", "part"]

logger = logging.getLogger(__name__)

Header: TypeAlias = tuple[bytes, bytes]

BROKEN = (OSError, ConnectionClosed, HandshakeError, trio.TooSlowError, trio.BrokenResourceError)
"""What comes out of a connection that ends, in exception groups."""
_HANDSHAKE = 3.0
_PARTING = 0.5  # for a close handshake, which nobody needs
_PING_EVERY, _PONG_WITHIN = 5.0, 10.0
_LONGEST = 64 * 2**20
_RECEIVE = 64 * 2**10
_REFUSALS = {
    401: "it refuses the token; is that the one of this supervisor?",
    403: "it refuses whoever asks from here",
    404: "it has no /rpc; is it a callboard?",
    421: "it does not go by this name; use the address that it printed",
}


class GoneError(UnreachableError):
    """The server has ended in order: nobody waits for it to come back."""


@asynccontextmanager
async def open_rpc_socket(
    stream: trio.SocketStream, host: str, headers: Sequence[Header] = ()
) -> AsyncIterator[WebSocketConnection]:
    """Shake hands, then ask from time to time whether the other side is there. The stream is closed at the end."""
    async with stream, trio.open_nursery() as nursery:
        with trio.fail_after(_HANDSHAKE):
            socket = await wrap_client_stream(
                nursery,
                stream,
                host,
                "/rpc",
                extra_headers=list(headers),
                message_queue_size=16,
                max_message_size=_LONGEST,
                receive_buffer_size=_RECEIVE,
            )
        nursery.start_soon(_keep_alive, socket)
        yield socket
        nursery.cancel_scope.cancel(reason="the connection is closed")


async def part(socket: WebSocketConnection) -> None:
    """Say good-bye, as long as somebody listens. Nobody needs it: it is only for the other side's log."""
    with trio.move_on_after(_PARTING) as parting:
        await socket.aclose()
    if parting.cancelled_caught:
        logger.info("the other side does not answer the good-bye")


async def _keep_alive(socket: WebSocketConnection) -> None:
    """Raise TooSlowError where the other side is stopped or stuck. That it closes is somebody else's business."""
    with suppress(ConnectionClosed):
        while True:
            await trio.sleep(_PING_EVERY)
            with trio.fail_after(_PONG_WITHIN):
                await socket.ping()


def explain(name: str, group: BaseException) -> FleetError | None:
    """Why no connection to the server ``name`` can be made, of what came out of one; None where the next may last."""
    error = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ConnectionRejected) and error.status_code not in {429, 503}:
        why = _REFUSALS.get(error.status_code, f"it answers with HTTP {error.status_code}")
        return UnreachableError(f"{name}: {why}")
    return error if isinstance(error, FleetError) else None
