"""One request and its response, as an ASGI application sees them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import h11
import trio

from actors.port.http_wire import HttpWire
from actors.port.service import App, Message
from protocols.peer import Peer

__all__ = ["Exchange", "open_scope"]

_BYE = b'event: bye\ndata: {"reason":"the port closes; come back with the last id"}\n\n'


def open_scope(request: h11.Request, peer: Peer | None, *, secure: bool) -> Message:
    """The scope of ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html): ``scope["state"]["peer"]`` is a
    `Peer`, or None on a path that is for everybody."""
    path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},  # up to 2.3 apps listen for the end themselves
        "http_version": request.http_version.decode(),
        "method": request.method.decode(),
        "scheme": "https" if secure else "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
        "client": None,
        "server": None,
        "state": {"peer": peer},
    }


@dataclass(slots=True, kw_only=True, eq=False)
class Exchange:
    wire: HttpWire
    scope: Message
    body: bytes
    last: bool = False
    """The connection ends behind this response."""
    _head: bytes = b""
    _started: bool = False
    _events: bool = False
    _between: bool = True
    """What was sent of an event stream ends with a whole event."""
    _taken: bool = False
    _gone: trio.Event = field(default_factory=trio.Event)
    _sending: trio.Lock = field(default_factory=trio.Lock)
    _nursery: trio.Nursery | None = None

    async def run(self, app: App) -> None:
        """Return when the app did. Its errors come out in a group, BrokenResourceError if the client is gone or does
        not read."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._watch)
            await app(self.scope, self._receive, self._send)
            nursery.cancel_scope.cancel(reason="the response is over")

    async def say_goodbye(self) -> None:
        """End a stream of events with a last one, where it stands; let another response come to its end."""
        self.last = True
        if not self._events or self._nursery is None:
            return
        async with self._sending:
            if self.wire.in_body:
                bye = _BYE if self._between else b"\n\n" + _BYE
                await self.wire.stream.send_all(self._head + self.wire.encode_body(bye, more=False))
                self._head = b""
        self._nursery.cancel_scope.cancel(reason="the port closes")

    async def _watch(self) -> None:
        if await self.wire.wait_gone():
            self._gone.set()

    async def _receive(self) -> Message:
        if not self._taken:
            self._taken = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        async with self._sending:
            if message["type"] == "http.response.start":
                await self._start(message["status"], list(message.get("headers", [])))
            elif message["type"] == "http.response.body":
                await self._continue(message.get("body", b""), more=message.get("more_body", False))

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._events = (_value(headers, b"content-type") or b"").startswith(b"text/event-stream")
        self._head = self.wire.encode_head(status, headers, last=self.last)
        self._started = True
        if _value(headers, b"content-length") is None:  # it may be a while until something follows
            await self._flush(b"")

    async def _continue(self, data: bytes, *, more: bool) -> None:
        if not self._started or (self._head == b"" and not self.wire.in_body):
            if self._started and not data and not more:
                return  # of a response without a body
            raise trio.BrokenResourceError("the response is over")
        if self.scope["method"] == "HEAD":
            data = b""
        if data:
            self._between = data.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        await self._flush(self.wire.encode_body(data, more=more))
        if not more:
            self._gone.set()

    async def _flush(self, data: bytes) -> None:
        head, self._head = self._head, b""
        if head or data:
            await self.wire.stream.send_all(head + data)


def _value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    return next((value for each, value in headers if each.lower() == name), None)
