"""One connection of the port, from its first request to its end."""

from dataclasses import dataclass, field

import h11

from actors.port.access import Headers, unauthorized
from actors.port.caller import Caller
from actors.port.exchange import Exchange, open_scope
from actors.port.http_wire import HttpWire
from actors.port.service import Service
from actors.port.stream import PortStream
from actors.port.websocket import WebSocket, handshake_of
from protocols.peer import Peer
from protocols.problems import ProblemError

__all__ = ["HttpConnection"]

_RPC = "/rpc"
_STRANGER = 4096  # bytes of a body that nobody has a use for


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
            if isinstance(self._current, WebSocket) and not self._closing:
                self.service.counts.websockets += 1
                await self._current.run()
        except ProblemError as error:
            self.service.counts.refuse(error.problem.status)
            if self._wire.can_answer:
                await self._wire.answer(error)
                await self.stream.linger()

    async def apologize(self) -> None:
        """After an error of ours: say so, if nothing was said."""
        if self._wire.can_answer:
            await self._wire.answer(ProblemError(500, "an error of callboard's own", hint="its log tells more"))

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
        body = await self._wire.read_body(_STRANGER if peer is None else self.service.limits.body_size)
        scope = open_scope(request, peer, secure=self.secure)
        self._current = exchange = Exchange(wire=self._wire, scope=scope, body=body, last=self._closing)
        await exchange.run(self.service.app)
        self._current = None
        return self._wire.start_next()

    def _let_in(self, headers: Headers, path: str) -> Peer | None:
        """None: who it is does not matter, or a first frame may tell. Raise `ProblemError`."""
        access = self.service.access
        access.check_sender(headers, self.caller)
        if access.is_open(path):
            return None
        peer = access.identify(headers, self.caller)
        if peer is None and path != _RPC:
            raise unauthorized("a token is needed")
        return peer

    async def _hand_over(self, request: h11.Request, peer: Peer | None) -> None:
        handshake = handshake_of(request)
        if await self._wire.read_body(_STRANGER):
            raise ProblemError(400, "a handshake of WebSocket has no body")
        self._current = WebSocket(
            stream=self.stream,
            service=self.service,
            caller=self.caller,
            peer=peer,
            handshake=handshake,
            rest=self._wire.leave(),
        )


def _check_target(request: h11.Request) -> str:
    """The path, for routing; as it is sent. Raise `ProblemError` for what only a proxy takes."""
    if not request.target.startswith(b"/"):
        raise ProblemError(400, "it does not begin with /", where="target")
    if request.http_version not in {b"1.0", b"1.1"}:
        raise ProblemError(400, "HTTP/1.1 is what is spoken here")
    names = [name for name, _ in request.headers]
    if b"content-length" in names and b"transfer-encoding" in names:
        raise ProblemError(400, "two lengths of one body", where="header Transfer-Encoding")
    return request.target.partition(b"?")[0].decode("latin-1")
