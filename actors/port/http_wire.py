"""HTTP/1.1 on one connection: whole requests come out, responses go in. Built on h11."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate

import h11
import msgspec
import trio

from actors.port.limits import PortLimits
from actors.port.stream import PortStream
from protocols.problems import MEDIA_TYPE, ProblemError

__all__ = ["HttpWire"]

_READ = 16 * 1024
_AHEAD = 64 * 1024  # of later requests that came before the response; then the client is not read until that is sent
_HINTS = {
    431: "the headers are too long",
    413: "the body is too long",
    501: "this way to write a body is not known here",
}

_LEFT = h11.Connection(h11.SERVER)
_LEFT.send_failed()


@dataclass(slots=True, kw_only=True, eq=False)
class HttpWire:
    stream: PortStream
    limits: PortLimits
    idle: trio.CancelScope | None = None
    """There while nothing of a request has come: whoever ends the port cancels it."""
    _h11: h11.Connection = field(init=False)
    _served: bool = False
    _ahead: int = 0
    _bodiless: bool = False
    _announced: int = 0

    def __post_init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=self.limits.header_size)

    async def next_request(self) -> h11.Request | None:
        """None: the client has no more, or was silent for too long. Raise `ProblemError` for what is no HTTP or
        does not come in time, BrokenResourceError where the client is gone."""
        size = len(self._h11.trailing_data[0])
        begun = size > 0
        patience = self.limits.header if begun or not self._served else self.limits.idle
        with trio.move_on_after(patience) as scope:
            self.idle = None if begun else scope
            while (event := self._parse()) is h11.NEED_DATA:
                data = await self.stream.receive_some(max(1, self.limits.header_size + 1 - size))
                size += len(data)
                if not begun and data and self._served:
                    scope.deadline = trio.current_time() + self.limits.header
                begun, self.idle = True, None
                self._h11.receive_data(data)
            if not isinstance(event, h11.Request):
                return None
            self._bodiless = event.method == b"HEAD"
            self._announced = int(dict(event.headers).get(b"content-length", 0))
            return event
        self.idle = None
        if begun:
            raise ProblemError(408, f"the headers took longer than {self.limits.header:g} s")
        return None

    async def read_body(self, most: int) -> bytes:
        """Raise `ProblemError` for one that has more bytes than ``most``, is broken or late."""
        if self._announced > most:
            raise ProblemError(413, f"more than {most} bytes")
        body = bytearray()
        with trio.move_on_after(self.limits.body):
            while True:
                match event := self._parse():
                    case h11.Data():
                        body += event.data
                        if len(body) > most:
                            raise ProblemError(413, f"more than {most} bytes")
                    case h11.EndOfMessage():
                        return bytes(body)
                    case h11.NEED_DATA:
                        if self._h11.they_are_waiting_for_100_continue:
                            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                        self._h11.receive_data(await self.stream.receive_some(_READ))
                    case _:
                        raise trio.BrokenResourceError("the client went away in the middle of a body")
        raise ProblemError(408, f"the body took longer than {self.limits.body:g} s")

    async def wait_gone(self) -> bool:
        """Whether the client has closed; False where it sends so much ahead that nobody looks any more."""
        while self._ahead <= _AHEAD:
            try:
                data = await self.stream.receive_some(_READ)
            except trio.BrokenResourceError:
                return True
            self._h11.receive_data(data)
            if not data:
                return True
            self._ahead += len(data)
        return False

    @property
    def can_answer(self) -> bool:
        """Whether no response has begun."""
        return self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}

    @property
    def in_body(self) -> bool:
        """Whether a response has begun and is not over."""
        return self._h11.our_state is h11.SEND_BODY

    def encode_head(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, last: bool) -> bytes:
        """``last``: the connection ends behind this response. Raise LocalProtocolError for what is no response."""
        more = [(b"date", formatdate(usegmt=True).encode()), *([(b"connection", b"close")] if last else [])]
        return self._h11.send(h11.Response(status_code=status, headers=[*headers, *more])) or b""

    def encode_body(self, data: bytes, *, more: bool) -> bytes:
        """For the response that has begun. Raise LocalProtocolError where it has another length than it said."""
        encoded = (self._h11.send(h11.Data(data=data)) or b"") if data else b""
        return encoded if more else encoded + (self._h11.send(h11.EndOfMessage()) or b"")

    async def answer(self, error: ProblemError) -> None:
        """Send it as the last response. Only where none has begun (`can_answer`)."""
        body = msgspec.json.encode(error.problem)
        fields = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "cache-control": "no-store"}
        encoded = [(name.encode(), value.encode()) for name, value in (fields | error.headers).items()]
        head = self.encode_head(error.problem.status, encoded, last=True)
        await self.stream.send_all(head + self.encode_body(b"" if self._bodiless else body, more=False))

    def start_next(self) -> bool:
        """Whether there may be another request."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        self._served, self._bodiless = True, False
        self._ahead = len(self._h11.trailing_data[0])  # what is there still, or each request would add as much again
        return True

    def leave(self) -> bytes:
        """What came behind the request: of another protocol, which has the stream from here on. Nothing of HTTP can be
        read or sent any more, and nothing of it is kept: a WebSocket may live for days."""
        rest = bytes(self._h11.trailing_data[0])
        self._h11 = _LEFT
        return rest

    def _parse(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:  # its text may hold what was sent, a token too
            status = error.error_status_hint
            raise ProblemError(status, _HINTS.get(status, "this is no valid HTTP/1.1")) from None

    async def _send(self, event: h11.Event) -> None:
        await self.stream.send_all(self._h11.send(event) or b"")
