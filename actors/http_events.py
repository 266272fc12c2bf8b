"""The records of a fleet as server-sent events: from a cursor on, then as they come, without gap and without end."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import trio
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from actors.feed import Feed, Told
from protocols.cursor import Cursor, parse_cursor
from protocols.http_routes import EventsQuery
from protocols.ids import RunId
from protocols.peer import Peer
from protocols.port_view import run_of
from protocols.problems import ProblemError
from protocols.query import decode_query
from protocols.sse import write_sse
from protocols.states import RunView
from protocols.topics import Filter

__all__ = ["EventStream", "EventStreams"]

_QUIET = 15.0  # seconds; who is in between, a proxy say, takes a silent connection for a dead one
_RETRY = 1000  # milliseconds until a browser comes back
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(slots=True, kw_only=True)
class EventStreams:
    """All that are open."""

    feed: Feed
    view: Callable[[], RunView]
    most: int = 256
    """Of one user at once."""
    _open: Counter[str] = field(default_factory=Counter, init=False)

    @property
    def count(self) -> int:
        return self._open.total()

    def open(self, request: Request, peer: Peer) -> "EventStream":
        """Raise `ProblemError`."""
        query = decode_query(request.query_params.multi_items(), EventsQuery)
        run = self.view().run
        if run is None:
            raise ProblemError(503, "the fleet has not begun", headers={"retry-after": "1"})
        asked = request.headers.get("last-event-id") or query.after
        after = self.feed.last if asked is None else self._after(asked, run)
        if self._open[peer.who] >= self.most:
            raise ProblemError(
                429,
                f"{peer.who} has {self.most} streams of events open already",
                hint="close one of them; one page needs one",
                headers={"retry-after": "5"},
            )
        return EventStream(streams=self, who=peer.who, run=run, after=after, wanted=query.filter)

    def _after(self, asked: str, run: RunId) -> int:
        """A cursor of another run has seen nothing of this one. Raise `ProblemError`."""
        where = "header Last-Event-ID, query after"
        try:
            cursor = Cursor(run, int(asked)) if asked.isascii() and asked.isdigit() else parse_cursor(asked)
        except ValueError as error:
            raise ProblemError(422, str(error)[:200], where=where, hint="leave it out for what comes now") from error
        if cursor.run != run:
            return 0
        if cursor.seq > self.feed.last:
            raise ProblemError(
                409,
                f"{cursor} is ahead: the last record is {self.feed.last}",
                where=where,
                hint="begin anew: what came before may have been lost with the disk",
            )
        return cursor.seq


@dataclass(slots=True, kw_only=True)
class EventStream:
    """One, as an ASGI application that answers a single request."""

    streams: EventStreams
    who: str
    run: RunId
    after: int
    wanted: Filter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Return when the client has gone or the fleet has ended."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        opened = self.streams._open
        opened[self.who] += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_watch, receive, nursery.cancel_scope)
                await self._write(send)
                nursery.cancel_scope.cancel(reason="the stream is over")
        finally:
            opened[self.who] -= 1
            if not opened[self.who]:
                del opened[self.who]

    async def _write(self, send: Send) -> None:
        head = msgspec.json.encode({"run": self.run, "after": self.after})
        await _send(send, b"retry: %d\n" % _RETRY + write_sse(head, "run"))
        while True:
            page: Sequence[Told] | None = None
            with trio.move_on_after(_QUIET):
                page = await self.streams.feed.read(self.after)
            if page is None:
                await _send(send, b": \nid: %b\n\n" % self._cursor())
                continue
            if not page:
                await _send(send, write_sse(b'{"reason":"the fleet has ended"}', "bye"), more=False)
                return
            chosen = self._encode(page)
            self.after = page[-1].seq
            if chosen:
                await _send(send, chosen)

    def _encode(self, page: Sequence[Told]) -> bytes:
        view = self.streams.view()
        wanted = [each for each in page if self.wanted.wants(each.event, lambda path: run_of(view, path))]
        run = self.run.encode()
        return b"".join(b"id: %b:%d\ndata: %b\n\n" % (run, each.seq, each.text) for each in wanted)

    def _cursor(self) -> bytes:
        """It has no data and is no event for the reader, but where it comes back it begins there."""
        return str(Cursor(self.run, self.after)).encode()


async def _watch(receive: Receive, writing: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    writing.cancel(reason="the client has gone")


async def _send(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})
