"""Reader, router and reconciler of one server, wired together as the supervisor does it, and sessions for tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from actors.opencode_client import OpenCodeClient
from actors.reconciler import Reconciler
from actors.session_messages import Connected, Endpoint, Look, Register, RouterInput, SessionInput
from actors.session_router import SessionRouter
from actors.session_routes import RouterCounts
from actors.stream_reader import StreamReader
from protocols.errors import ServerError
from protocols.opencode import Envelope, Snapshot

__all__ = ["Listener", "Streams", "open_streams"]


@dataclass
class Listener:
    """What one session got."""

    id: str
    inbox: trio.MemoryReceiveChannel[SessionInput]
    told: list[SessionInput] = field(default_factory=list)
    _more: trio.Event = field(default_factory=trio.Event)

    @property
    def events(self) -> list[Envelope]:
        return [each for each in self.told if isinstance(each, Envelope)]

    async def listen(self) -> None:
        async for item in self.inbox:
            self.told.append(item)
            self._more.set()
            self._more = trio.Event()

    async def until(self, said: Callable[[SessionInput], bool], after: int = 0) -> int:
        """Where the first such thing stands, from place ``after`` on."""
        place = after
        while True:
            while place < len(self.told):
                if said(self.told[place]):
                    return place
                place += 1
            await self._more.wait()

    async def finished(self, after: int = 0) -> Snapshot:
        """The first snapshot in which it is idle with an answer that is complete."""
        found = self.told[await self.until(_complete, after)]
        assert isinstance(found, Snapshot)
        return found


@dataclass
class Streams:
    client: OpenCodeClient
    to_router: trio.MemorySendChannel[RouterInput]
    counts: RouterCounts
    nursery: trio.Nursery

    async def session(self, directory: Path, *, connected: bool = True) -> Listener:
        """Create one and register it; where wished, wait until the stream is there."""
        created = msgspec.json.decode(await self.client.create_session(str(directory), "a test"))
        outbox, inbox = trio.open_memory_channel[SessionInput](8)
        listener = Listener(created["id"], inbox)
        self.nursery.start_soon(listener.listen)
        await self.to_router.send(Register(listener.id, str(directory), outbox))
        if connected:
            await listener.until(lambda item: isinstance(item, Connected))
        return listener

    async def prompt(self, session: str, text: str) -> None:
        await self.client.prompt(session, msgspec.json.encode({"parts": [{"type": "text", "text": text}]}))


@asynccontextmanager
async def open_streams(
    endpoint: Endpoint, folder: Path, *, patience: float = 25.0, every: float = 30.0, of_all: bool = True
) -> AsyncIterator[Streams]:
    """``patience`` of the reader; ``every`` seconds the router wants a look. Not ``of_all``: as if the server had no
    stream of all directories."""
    to_router, inbox = trio.open_memory_channel[RouterInput](64)
    directories, to_reader = trio.open_memory_channel[str](1)
    looks, to_reconciler = trio.open_memory_channel[Look](1)
    client = OpenCodeClient(endpoint)
    router = SessionRouter(
        inbox=inbox,
        looks=looks,
        directories=directories,
        folder=folder,
        limiter=trio.CapacityLimiter(1),
        every=every,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(router.run)
        await nursery.start(Reconciler(inbox=to_reconciler, outbox=to_router, client=client).run)
        reader = StreamReader(
            open_stream=client.stream if of_all else partial(_of_each, client),
            outbox=to_router,
            directories=to_reader,
            patience=patience,
        )
        await nursery.start(reader.run)
        yield Streams(client, to_router, router.counts, nursery)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _of_each(client: OpenCodeClient, directory: str | None) -> AsyncIterator[AsyncIterator[bytes]]:
    if directory is None:
        raise ServerError("no such call", "not-found")
    async with client.stream(directory) as chunks:
        yield chunks


def _complete(item: SessionInput) -> bool:
    if not isinstance(item, Snapshot) or item.status:
        return False
    messages: list[Any] = msgspec.json.decode(item.messages)
    return bool(messages) and messages[-1]["info"].get("finish") == "stop"
