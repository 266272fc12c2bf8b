"""One connection of the port, from its first request to its end."""

from dataclasses import dataclass, field

import h11
import trio

from actors.port.access import Headers
from actors.port.caller import Caller
from actors.port.exchange import Exchange, open_scope
from actors.port.http_wire import HttpWire, RefusedRequestError
from actors.port.service import Service
from actors.port.stream import PortStream
from actors.port.websocket import WebSocket, handshake_of
from protocols.peer import Peer
from protocols.problem import Problem, problem

__all__ = ["HttpConnection"]

_RPC = "/rpc"
_LINGER = 1.0  # for a client that still sends what nobody wants: closed at once, the answer would be lost on its way
_LINGER_BYTES = 4 * 1024 * 1024


@dataclass(slots=True, kw_only=True, eq=False)
class HttpConnection:
    stream: PortStream
    caller: Caller
    service: Service
    secure: bool = False
    """TLS."""
    _wire: HttpWire = field(init=False)
    _current: Exchange | WebSocket | None = None
    _closing: bool = False

    def __post_init__(self) -> None:
        self._wire = HttpWire(stream=self.stream, limits=self.service.limits)

    async def run(self) -> None:
        """Answer until one of both has enough. What the app, or the handler of a WebSocket, raises comes out; a client
        that is gone or does not read is BrokenResourceError."""
        try:
            while not self._closing and await self._serve_one():
                pass
        except RefusedRequestError as refused:
            self.service.counts.refuse(refused.answer.status)
            if self._wire.can_answer:
                await self._wire.answer(refused.answer, refused.headers)
                await self._linger()

    async def apologize(self) -> None:
        """After an error of ours: say so, if nothing was said."""
        if self._wire.can_answer:
            await self._wire.answer(problem(500, "an error of callboard's own; its log tells more"), ())

    async def say_goodbye(self) -> None:
        """The port closes. Return soon where the client reads; whatever is left then is cut by the caller."""
        self._closing = True
        if self._wire.idle is not None:
            self._wire.idle.cancel(reason="the port closes")
        if self._current is not None:
            await self._current.say_goodbye()

    async def _serve_one(self) -> bool:
        """Whether there may be another one."""
        request = await self._wire.next_request()
        if request is None:
            return False
        self.service.counts.requests += 1
        path = _check_target(request)
        peer = self._let_in(request.headers, path)
        if path == _RPC:
            await self._hand_over(request, peer)
            return False
        body = await self._wire.read_body()
        scope = open_scope(request, peer, secure=self.secure)
        self._current = exchange = Exchange(wire=self._wire, scope=scope, body=body, last=self._closing)
        await exchange.run(self.service.app)
        self._current = None
        return self._wire.start_next()

    def _let_in(self, headers: Headers, path: str) -> Peer | None:
        """None: who it is does not matter, or a first frame may tell. Raise `RefusedRequestError`."""
        access = self.service.access
        if (refusal := access.check_sender(headers, self.caller)) is not None:
            raise RefusedRequestError(refusal)
        if access.is_open(path):
            return None
        match access.identify(headers, self.caller):
            case Problem() as refusal:
                raise RefusedRequestError(refusal, ("www-authenticate", "Bearer"))
            case None if path != _RPC:
                missing = problem(
                    401, "a token is needed: Authorization: Bearer TOKEN; see file token of the state folder"
                )
                raise RefusedRequestError(missing, ("www-authenticate", "Bearer"))
            case found:
                return found

    async def _hand_over(self, request: h11.Request, peer: Peer | None) -> None:
        handshake = handshake_of(request)
        if isinstance(handshake, Problem):
            raise RefusedRequestError(handshake, ("sec-websocket-version", "13"), ("upgrade", "websocket"))
        if await self._wire.read_body():
            raise RefusedRequestError(problem(400, "a handshake of WebSocket has no body"))
        self.stream.unread(handshake + self._wire.take_rest())
        self._current = socket = WebSocket(stream=self.stream, service=self.service, caller=self.caller, peer=peer)
        if self._closing:
            return
        self.service.counts.websockets += 1
        await socket.run()

    async def _linger(self) -> None:
        """Take what is still on its way, for a while."""
        await self.stream.send_eof()
        with trio.move_on_after(_LINGER) as scope:
            left = _LINGER_BYTES
            while left > 0 and (data := await self.stream.receive_some(64 * 1024)):
                left -= len(data)
        if scope.cancelled_caught:
            self.service.counts.refuse(408)


def _check_target(request: h11.Request) -> str:
    """The path, for routing; as it is sent. Raise `RefusedRequestError` for what only a proxy takes."""
    if not request.target.startswith(b"/"):
        raise RefusedRequestError(problem(400, "the target of a request begins with /"))
    names = [name for name, _ in request.headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        raise RefusedRequestError(problem(400, "two lengths of one body"))
    return request.target.partition(b"?")[0].decode("latin-1")
