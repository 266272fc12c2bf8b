"""Subscribers that connect, lag, vanish and come back at random miss nothing and get nothing twice."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio_websocket import WebSocketConnection
from wsproto.utilities import LocalProtocolError

from actors import feed as feed_module
from actors import rpc_subscriptions
from actors.feed import Feed
from actors.messages import Append
from actors.rpc_connection import BROKEN, open_rpc_socket
from actors.rpc_session import RpcSession
from actors.unix_socket import connect_unix
from protocols.peer import Peer
from tests.port_client import open_port
from tests.port_rig import TREE, PortRig, open_fleet
from tests.test_subscription import keeper

_SUBSCRIBERS = 50
_LAG = 2500  # records for which one who lags reads nothing: more than the supervisor keeps at hand here


class _Seq(msgspec.Struct):
    seq: int


class _Page(msgspec.Struct):
    """Of a push, or of ``events.read``; or what is missing."""

    records: list[_Seq] = []
    upto: int = 0
    more: bool = False
    first: int = 0
    last: int = 0


class _Message(msgspec.Struct):
    method: str = ""
    params: _Page | None = None
    id: int | None = None
    result: _Page | None = None
    error: Any = None


@dataclass(slots=True)
class _Subscriber:
    """Checks at each record that it is the next one."""

    path: Path
    feed: Feed
    dice: random.Random
    goal: int
    did: "Counter[str]"
    last: int = 0
    _waiting: list[_Message] = field(default_factory=list)

    async def run(self) -> None:
        while self.last < self.goal:
            try:
                async with self._connected() as socket:
                    await self._follow(socket)
            except* (
                *BROKEN,
                LocalProtocolError,
            ):  # or a ping crosses a close
                self.did["dropped"] += 1  # it slept for too long

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[WebSocketConnection]:
        connection = connect_unix(self.path)
        connection.setblocking(False)
        self._waiting.clear()
        async with open_rpc_socket(
            trio.SocketStream(trio.socket.from_stdlib_socket(connection)), "localhost"
        ) as socket:
            yield socket

    async def _follow(self, socket: WebSocketConnection) -> None:
        """Until it has all, or enough of it."""
        params = {"after": self.last, "workers": "all", "replay": self.dice.random() < 0.3}
        await self._call(socket, "events.subscribe", params)
        while self.last < self.goal:
            message = self._waiting.pop(0) if self._waiting else await self._receive(socket)
            assert message.params is not None
            self._take(message.params)
            if message.method == "events.lagged":
                await self._fill(socket, message.params)
            match self.dice.randrange(12):
                case 0:
                    self.did["vanished"] += 1
                    return
                case 1:
                    self.did["left"] += 1
                    await socket.aclose()
                    return
                case 2:
                    self.did["slept"] += 1
                    await self._sleep()
                case _:
                    pass

    async def _fill(self, socket: WebSocketConnection, missing: _Page) -> None:
        self.did["lagged"] += 1
        assert missing.first == self.last + 1
        while self.last < missing.last:
            params = {"after": self.last, "upto": missing.last, "workers": "all", "limit": 200}
            answer = await self._call(socket, "events.read", params)
            assert answer.result is not None
            self._take(answer.result)
            assert answer.result.more == (self.last < missing.last)

    def _take(self, page: _Page) -> None:
        for record in page.records:
            assert record.seq == self.last + 1
            self.last = record.seq

    async def _sleep(self) -> None:
        """Read nothing while others do."""
        until = min(self.feed.last + _LAG, self.goal)
        while self.feed.last < until:
            await self.feed.read(self.feed.last)

    async def _call(self, socket: WebSocketConnection, method: str, params: dict[str, object]) -> _Message:
        await socket.send_message(
            msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).decode()
        )
        while (message := await self._receive(socket)).id is None:
            self._waiting.append(message)
        assert message.error is None, message.error
        return message

    async def _receive(self, socket: WebSocketConnection) -> _Message:
        return msgspec.json.decode(await socket.get_message(), type=_Message)


async def _rage(root: Path, count: int, seed: int) -> "Counter[str]":
    """What the subscribers did while so many records were written."""
    did: Counter[str] = Counter()
    async with open_fleet(root) as fleet, trio.open_nursery() as nursery:
        feed = Feed(journal=fleet.folder.journal, subscribe=fleet.rig.requests)
        await nursery.start(feed.run)

        async def rpc(socket: WebSocketConnection, peer: Peer) -> None:
            await RpcSession(socket=socket, peer=peer, dispatcher=fleet.dispatcher, feed=feed).run()

        async with open_port(root, rpc=rpc) as port, trio.open_nursery() as crowd:
            for number in range(_SUBSCRIBERS):
                dice = random.Random(seed * 1000 + number)
                subscriber = _Subscriber(port.socket, feed, dice, count, did)
                crowd.start_soon(subscriber.run)
            crowd.start_soon(_write, fleet, count - len(TREE))
        nursery.cancel_scope.cancel(reason="all have all")
    return did


async def _write(fleet: PortRig, count: int) -> None:
    """As many at a time as are taken."""
    for number in range(count):
        try:
            fleet.rig.inbox.send_nowait(Append(keeper(number)))
        except trio.WouldBlock:
            await fleet.rig.inbox.send(Append(keeper(number)))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """So little is kept at hand, and so short are the messages, that there is much to do at random."""
    monkeypatch.setattr(feed_module, "_KEPT", 1000)
    monkeypatch.setattr(rpc_subscriptions, "_FRAME", 16 * 1024)


@pytest.mark.deadline(300)
async def test_fifty_subscribers_that_come_and_go_get_every_record_once_and_in_order(tmp_path: Path) -> None:
    """Half a million records are sent."""
    did = await _rage(tmp_path, 10_000, 1)

    assert did["vanished"] and did["left"] and did["slept"], did


@pytest.mark.soak
@pytest.mark.deadline(3600)
async def test_fifty_subscribers_get_two_hundred_thousand_records_once_and_in_order(tmp_path: Path) -> None:
    did = await _rage(tmp_path, 200_000, 2)

    assert did["vanished"] and did["left"] and did["slept"], did
