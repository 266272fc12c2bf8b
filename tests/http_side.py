"""The HTTP side of the port over a fleet that exists in its journal, asked through a real socket."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import h11
import httpx
import trio

from actors.feed import Feed
from actors.http_app import HttpSide, make_app
from actors.messages import Append
from protocols.events import Event
from protocols.ids import AttemptId, WorkerId
from protocols.kinds import Stream
from protocols.peer import Scope
from protocols.redaction import Redactor
from protocols.sse import SseEvent, SseParser
from protocols.tokens import Grant, make_token
from tests.port_client import SECRET, open_port
from tests.port_rig import TREE, PortRig, open_fleet
from tests.test_subscription import Rig

__all__ = ["AskedPort", "EventReader", "open_side", "put_all"]


@dataclass
class EventReader:
    """What comes of one stream of events."""

    stream: trio.SocketStream
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[SseEvent] = field(default_factory=list)
    _parser: SseParser = field(default_factory=SseParser)
    _http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))

    async def begin(self, target: str, headers: Mapping[str, str]) -> None:
        request = h11.Request(method="GET", target=target, headers=list(headers.items()))
        await self.stream.send_all((self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        response = await self._next()
        assert isinstance(response, h11.Response)
        assert response.status_code == 200, await self._next()
        self.headers = {name.decode(): value.decode() for name, value in response.headers}

    async def read(self) -> bool:
        """False: the stream is over."""
        event = await self._next()
        if isinstance(event, h11.Data):
            self.seen += [each for each in self._parser.feed(bytes(event.data)) if isinstance(each, SseEvent)]
        return isinstance(event, h11.Data)

    async def until(self, count: int) -> list[SseEvent]:
        """The records so far, at least so many, or all that came."""
        while len(self.records) < count and await self.read():
            pass
        return self.records

    async def to_end(self) -> list[SseEvent]:
        while await self.read():
            pass
        return self.seen

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.stream.receive_some())
        return event

    @property
    def records(self) -> list[SseEvent]:
        return [each for each in self.seen if each.event == "message"]

    @property
    def numbers(self) -> list[int]:
        return [int(each.id.partition(":")[2]) for each in self.records]


@dataclass(frozen=True)
class AskedPort:
    fleet: PortRig
    client: httpx.AsyncClient
    feed: Feed
    number: int
    """Of its port."""
    stop: trio.CancelScope

    async def get(self, path: str, status: int = 200, **headers: str) -> httpx.Response:
        answer = await self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        assert answer.status_code == status, answer.text
        return answer

    async def post(self, path: str, body: object = None, status: int = 200, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.post(path, json=body, headers=named)
        assert answer.status_code == status, answer.text
        return answer

    @asynccontextmanager
    async def events(self, query: str = "", **headers: str) -> AsyncIterator[EventReader]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"host": "localhost", "authorization": self.client.headers["authorization"], **named}
        async with await trio.open_tcp_stream("127.0.0.1", self.number) as stream:
            reader = EventReader(stream)
            await reader.begin(f"/api/events{query}", sent)
            yield reader

    async def write(self, *events: Event) -> None:
        """Wait until they are in the journal."""
        await put_all(self.fleet.rig, *events)

    def spool(self, task: str, data: bytes, stream: Stream = "stdout", attempt: int = 1) -> Path:
        """What the worker of a task of the fleet itself has written."""
        path = self.fleet.folder.spool(WorkerId(task), attempt, stream)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


async def put_all(rig: Rig, *events: Event) -> None:
    """Wait until they are in the journal."""
    committed = trio.Event()
    for event in events[:-1]:
        await rig.inbox.send(Append(event))
    await rig.inbox.send(Append(events[-1], committed))
    await committed.wait()


@asynccontextmanager
async def open_side(
    root: Path,
    events: Sequence[Event] = TREE,
    *,
    scope: Scope = "admin",
    streams: int = 8,
    redactor: Redactor | None = None,
) -> AsyncIterator[AskedPort]:
    """``scope``: of the token with which it is asked."""
    name = AttemptId("a" * 32) if scope == "worker" else "tester"
    token = make_token(SECRET, Grant(scope=scope, name=name))
    async with open_fleet(root, events) as fleet, trio.open_nursery() as nursery:
        feed = Feed(journal=fleet.folder.journal, subscribe=fleet.rig.requests)
        await nursery.start(feed.run)
        known = redactor or Redactor()
        reader = replace(fleet.dispatcher.reader, redactor_of=lambda _: known)
        dispatcher = replace(fleet.dispatcher, reader=reader)
        app = make_app(HttpSide(dispatcher=dispatcher, feed=feed, version="1.2", streams_per_user=streams))
        async with open_port(root, app=app) as opened:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(
                base_url=f"http://{opened.url}",
                headers={"authorization": f"Bearer {token}"},
                limits=limits,
                timeout=None,  # the test has a deadline, and the machine may be busy
                trust_env=False,
            ) as client:
                yield AskedPort(fleet, client, feed, opened.number, opened.stop)
        nursery.cancel_scope.cancel(reason="the test is done")
