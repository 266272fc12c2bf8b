"""One WebSocket of the port: its handshake, its token, its pings and its end. Frames are trio-websocket's."""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from typing import Literal

import h11
import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from actors.port.access import unauthorized
from actors.port.caller import Caller
from actors.port.service import Service
from actors.port.stream import PortStream
from protocols.jsonrpc import Id, Response
from protocols.peer import Peer
from protocols.problems import ProblemError

__all__ = ["WebSocket", "handshake_of"]

_QUEUE = 16
_RECEIVE = 64 * 1024
_CLOSING = 2.0  # for the client's half of a close
_OFFER = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"}
_GOING_AWAY, _POLICY = 1001, 1008


class _Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str


class _Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    jsonrpc: Literal["2.0"]
    method: Literal["auth"]
    params: _Token
    id: Id | msgspec.UnsetType = msgspec.UNSET


def handshake_of(request: h11.Request) -> bytes:
    """The request once more, with nothing in it but what RFC 6455, 4.2.1 wants and we have checked.

    Raise `ProblemError`: 426, 400.
    """
    headers = {name: value for name, value in request.headers}  # noqa: C416 - h11's own kind of list
    tokens = {each.strip().lower() for each in headers.get(b"connection", b"").split(b",")}
    if headers.get(b"upgrade", b"").lower() != b"websocket" or b"upgrade" not in tokens:
        raise ProblemError(426, "this path is for WebSockets alone", headers=_OFFER)
    if request.method != b"GET" or request.http_version != b"1.1":
        raise ProblemError(400, "a handshake of WebSocket is a GET of HTTP/1.1")
    if headers.get(b"sec-websocket-version") != b"13":
        raise ProblemError(426, "only 13 is spoken here", where="header Sec-WebSocket-Version", headers=_OFFER)
    key = headers.get(b"sec-websocket-key", b"")
    try:
        valid = len(b64decode(key, validate=True)) == 16
    except binascii.Error:
        valid = False
    if not valid:
        raise ProblemError(400, "not 16 bytes in base64", where="header Sec-WebSocket-Key")
    return (
        b"GET /rpc HTTP/1.1\r\nHost: callboard\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % key
    )


@dataclass(slots=True, kw_only=True, eq=False)
class WebSocket:
    stream: PortStream
    service: Service
    caller: Caller
    peer: Peer | None
    """None: the first frame is to tell."""
    handshake: bytes
    """See `handshake_of`."""
    rest: bytes
    """What came behind it already."""
    _socket: WebSocketConnection | None = None
    _leaving: trio.Event | None = None

    async def run(self) -> None:
        """Return when the handler did, and the socket is closed."""
        try:
            async with trio.open_nursery() as reading:
                await self._use(await self._shake_hands(reading))
                reading.cancel_scope.cancel(reason="the WebSocket is closed")
        except* ConnectionClosed:  # also out of the library's own task
            pass
        await self.stream.linger()

    async def say_goodbye(self) -> None:
        if self._socket is None or self._leaving is not None:
            return
        self._leaving = trio.Event()
        try:
            await self._socket.aclose(_GOING_AWAY, "the port closes")
        finally:
            self._leaving.set()

    async def _shake_hands(self, reading: trio.Nursery) -> WebSocketConnection:
        accepted = trio.Event()  # until then the library may lose what it reads
        self.stream.unread(self.handshake, before=accepted)
        with trio.move_on_after(self.service.limits.header):
            request = await wrap_server_stream(
                reading,
                self.stream,
                message_queue_size=_QUEUE,
                max_message_size=self.service.limits.body_size,
                receive_buffer_size=_RECEIVE,
            )
            socket = await request.accept()
            self.stream.unread(self.rest)
            accepted.set()
            return socket
        raise trio.BrokenResourceError("no handshake of WebSocket in time")

    async def _use(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        peer = self.peer or await self._authenticate(socket)
        if peer is not None:
            await self._handle(socket, peer)
        if self._leaving is None:
            await _close(socket, 1000)
        else:
            await self._leaving.wait()

    async def _handle(self, socket: WebSocketConnection, peer: Peer) -> None:
        try:
            async with trio.open_nursery() as using:
                using.start_soon(self._ping, socket)
                await self.service.rpc(socket, peer)
                using.cancel_scope.cancel(reason="the handler is done")
        except* ConnectionClosed:
            pass

    async def _ping(self, socket: WebSocketConnection) -> None:
        """Raise BrokenResourceError where the client does not answer."""
        limits = self.service.limits
        while True:
            await trio.sleep(limits.ping)
            with trio.move_on_after(limits.pong) as scope:
                await socket.ping()
            if scope.cancelled_caught:
                raise trio.BrokenResourceError("no answer to a ping")

    async def _authenticate(self, socket: WebSocketConnection) -> Peer | None:
        """By the first frame. None: it is closed."""
        message: str | bytes | None = None
        try:
            with trio.move_on_after(self.service.limits.token):
                message = await socket.get_message()
        except ConnectionClosed:
            return None
        try:
            auth = self._read_token(message)
            peer = self.service.access.admit(auth.params.token, self.caller)
        except ProblemError as error:
            self.service.counts.refuse(error.problem.status)
            await _close(socket, _POLICY, error.problem.detail)
            return None
        if auth.id is not msgspec.UNSET:
            result = msgspec.Raw(msgspec.json.encode({"scope": peer.scope, "who": peer.who}))
            await socket.send_message(msgspec.json.encode(Response(id=auth.id, result=result)).decode())
        return peer

    def _read_token(self, message: str | bytes | None) -> _Auth:
        if message is None:
            raise unauthorized(f"no token within {self.service.limits.token:g} s")
        try:
            return msgspec.json.decode(message, type=_Auth)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise unauthorized("the first frame must be the method auth with a token") from None


async def _close(socket: WebSocketConnection, code: int, reason: str = "") -> None:
    """With a deadline: behind it the stream is cut."""
    with trio.move_on_after(_CLOSING) as scope:
        await socket.aclose(code, reason[:100] or None)
    if scope.cancelled_caught:
        raise trio.BrokenResourceError("the client does not close its half")
