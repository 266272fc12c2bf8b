"""A WebSocket of the port: calls side by side, subscriptions, bounds on both."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream, wrap_server_stream

from actors import feed as feed_module
from actors import rpc_session, rpc_subscriptions, rpc_writer
from actors.feed import Feed
from actors.rpc_session import RpcSession
from protocols.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, NOT_FOUND, OVERLOADED, PARSE_ERROR
from protocols.peer import Peer
from tests.made_fleets import output, status
from tests.port_rig import ADMIN, TREE, PortRig, open_fleet

_LAST = len(TREE)


@dataclass
class _Client:
    socket: WebSocketConnection
    fleet: PortRig
    pushed: list[Any] = field(default_factory=list)
    """Notifications that came while an answer was waited for."""

    async def send(self, text: str | bytes) -> None:
        await self.socket.send_message(text)

    async def ask(self, method: str, number: object = 1, /, **params: object) -> None:
        await self.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))

    async def receive(self) -> Any:
        return json.loads(await self.socket.get_message())

    async def call(self, method: str, /, **params: object) -> Any:
        """The result, or the error."""
        await self.ask(method, **params)
        while "method" in (message := await self.receive()):
            self.pushed.append(message)
        return message.get("result", message.get("error"))

    async def push(self) -> Any:
        """The next notification: its method and parameters."""
        message = self.pushed.pop(0) if self.pushed else await self.receive()
        return message["method"], message["params"]

    async def write(self, count: int) -> None:
        for _ in range(count):
            await self.fleet.commander.put(output("lint", length=1))


@asynccontextmanager
async def _connected(root: Path, peer: Peer = ADMIN, *, lockstep: bool = False) -> AsyncIterator[_Client]:
    """``lockstep``: nothing can be sent that is not read."""
    ends: tuple[Any, Any] = lockstep_stream_pair() if lockstep else memory_stream_pair()
    ours, theirs = ends
    async with open_fleet(root) as fleet, trio.open_nursery() as nursery:
        feed = Feed(journal=fleet.folder.journal, subscribe=fleet.rig.requests)
        await nursery.start(feed.run)

        async def serve() -> None:
            async with trio.open_nursery() as reading:
                socket = await (await wrap_server_stream(reading, ours)).accept()
                session = RpcSession(socket=socket, peer=peer, dispatcher=fleet.dispatcher, feed=feed)
                try:
                    await session.run()
                except* (ConnectionClosed, trio.BrokenResourceError):
                    await ours.aclose()
                reading.cancel_scope.cancel(reason="the session is over")

        nursery.start_soon(serve)
        async with trio.open_nursery() as reading:
            client = await wrap_client_stream(reading, theirs, "callboard", "/rpc")
            yield _Client(client, fleet)
            reading.cancel_scope.cancel(reason="the test is done")
        nursery.cancel_scope.cancel(reason="the test is done")


async def test_a_call_is_answered_with_its_id_whatever_that_is(tmp_path: Path) -> None:
    async with _connected(tmp_path) as client:
        for number in (1, "x", None):
            await client.ask("system.info", number)
            answer = await client.receive()
            assert answer["id"] == number and answer["result"]["run"] == "aaaaaaaa"


@pytest.mark.parametrize(
    ("text", "code", "number"),
    [
        ("{", PARSE_ERROR, None),
        (b"\xff", PARSE_ERROR, None),
        ("[]", INVALID_REQUEST, None),
        ('{"jsonrpc":"2.0","id":7,"method":1}', INVALID_REQUEST, 7),
        ('{"jsonrpc":"2.0","id":7,"method":"worker.gett"}', METHOD_NOT_FOUND, 7),
        ('{"jsonrpc":"2.0","id":7,"method":"worker.get","params":["lint"]}', INVALID_PARAMS, 7),
        ('{"jsonrpc":"2.0","id":7,"method":"worker.get","params":{"task":"lint","x":1}}', INVALID_PARAMS, 7),
        ('{"jsonrpc":"2.0","id":7,"method":"worker.get","params":{"task":"nix"}}', NOT_FOUND, 7),
        ('{"jsonrpc":"2.0","id":7,"method":"events.unsubscribe","params":{"subscription":"s"}}', NOT_FOUND, 7),
    ],
)
async def test_what_is_wrong_is_answered_and_the_connection_goes_on(
    tmp_path: Path, text: str | bytes, code: int, number: int | None
) -> None:
    async with _connected(tmp_path) as client:
        await client.send(text)
        answer = await client.receive()

        assert (answer["error"]["code"], answer["id"]) == (code, number)
        assert (await client.call("system.health"))["status"] == "ok"


async def test_notifications_get_no_answer_and_batches_get_one(tmp_path: Path) -> None:
    request = {"jsonrpc": "2.0", "method": "worker.stop", "params": {"task": "lint"}}
    async with _connected(tmp_path) as client:
        await client.send(json.dumps(request))
        await client.send(json.dumps([request, {**request, "id": "a"}, {**request, "method": "x", "id": "b"}, 1]))
        answers = await client.receive()

    assert [answer["id"] for answer in answers] == ["a", "b", None]
    assert len(client.fleet.commander.asked) == 3


async def test_a_call_that_takes_long_holds_up_no_other(tmp_path: Path) -> None:
    async with _connected(tmp_path) as client:
        client.fleet.commander.gate = trio.Event()
        await client.ask("worker.stop", "slow", task="lint")
        await client.ask("system.info", "fast")
        assert (await client.receive())["id"] == "fast"

        client.fleet.commander.gate.set()
        assert (await client.receive())["id"] == "slow"


async def test_too_many_calls_at_once_are_told_so_and_the_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_session, "_CALLS", 2)
    async with _connected(tmp_path) as client:
        client.fleet.commander.gate = trio.Event()
        for number in range(4):
            await client.ask("worker.stop", number, task="lint")
        refused = [await client.receive(), await client.receive()]
        client.fleet.commander.gate.set()
        done = [await client.receive(), await client.receive()]

        assert [(each["id"], each["error"]["code"]) for each in refused] == [(2, OVERLOADED), (3, OVERLOADED)]
        assert sorted(each["id"] for each in done) == [0, 1]
        assert (await client.call("system.health"))["status"] == "ok"


async def test_records_come_from_the_number_on_that_the_client_has_and_then_as_they_happen(tmp_path: Path) -> None:
    async with _connected(tmp_path) as client:
        answer = await client.call("events.subscribe", subscription="mine", after=3, workers="all")
        method, old = await client.push()
        await client.write(1)
        _, new = await client.push()

    assert answer == {"subscription": "mine", "run": "aaaaaaaa", "after": 3}
    assert method == "events.records"
    assert [record["seq"] for record in old["records"]] == list(range(4, _LAST + 1)) and old["upto"] == _LAST
    assert [record["seq"] for record in new["records"]] == [_LAST + 1]


async def test_without_a_number_only_news_come_and_several_subscriptions_do_not_mix(tmp_path: Path) -> None:
    async with _connected(tmp_path) as client:
        first = await client.call("events.subscribe", workers=["lint"], topics=[])
        second = await client.call("events.subscribe", topics=["task"])
        await client.write(1)
        text = await client.push()
        await client.call("worker.stop", task="lint")
        change = await client.push()

    assert (first["after"], second["after"]) == (_LAST, _LAST)
    assert (text[1]["subscription"], text[1]["records"][0]["type"]) == ("s1", "worker.output")
    assert (change[1]["subscription"], change[1]["records"][0]["type"]) == ("s2", "task.status_changed")


async def test_whose_log_comes_can_be_changed_without_loss_of_anything_else(tmp_path: Path) -> None:
    async with _connected(tmp_path) as client:
        await client.call("events.subscribe", subscription="s", topics=["task"])
        await client.write(1)
        await client.call("worker.stop", task="lint")
        await client.push()
        again = await client.call("events.subscribe", subscription="s", topics=["task"], workers=["lint"])
        refused = await client.call("events.subscribe", subscription="s", after=1)
        await client.write(1)
        _, pushed = await client.push()

    assert again["after"] > _LAST and refused["code"] == INVALID_PARAMS
    assert [record["seq"] for record in pushed["records"]] == [_LAST + 5]


async def test_who_unsubscribes_gets_no_more_and_learns_how_far_it_was(tmp_path: Path) -> None:
    async with _connected(tmp_path) as client:
        await client.call("events.subscribe", subscription="s", workers="all")
        await client.write(1)
        await client.push()
        end = await client.call("events.unsubscribe", subscription="s")
        await client.write(1)
        await client.call("system.info")

    assert end == {"subscription": "s", "upto": _LAST + 1} and client.pushed == []


async def test_who_unsubscribes_in_the_middle_of_many_learns_which_was_the_last_that_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_subscriptions, "_FRAME", 1)
    monkeypatch.setattr(rpc_writer, "_QUEUE", 1)
    async with _connected(tmp_path, lockstep=True) as client:
        await client.write(20)
        await client.call("events.subscribe", subscription="s", after=_LAST, workers="all")
        await client.push()
        await wait_all_tasks_blocked()
        end = await client.call("events.unsubscribe", subscription="s")

    seen = [record["seq"] for push in client.pushed for record in push["params"]["records"]]
    assert _LAST + 1 < seen[-1] < _LAST + 20
    assert end == {"subscription": "s", "upto": seen[-1]}


async def test_a_filter_that_is_changed_in_the_middle_of_many_holds_from_the_number_on_that_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_subscriptions, "_FRAME", 1)
    monkeypatch.setattr(rpc_writer, "_QUEUE", 1)
    async with _connected(tmp_path, lockstep=True) as client:
        for _ in range(20):
            await client.write(1)
            await client.fleet.commander.put(status("lint", "running"))
        await client.call("events.subscribe", subscription="s", after=_LAST, topics=["task"])
        await client.push()
        await wait_all_tasks_blocked()
        again = await client.call("events.subscribe", subscription="s", topics=["task"], workers=["lint"])
        seen: list[int] = []
        while not seen or seen[-1] < _LAST + 40:
            _, pushed = await client.push()
            seen += [record["seq"] for record in pushed["records"]]

    assert _LAST + 2 < again["after"] < _LAST + 40
    assert [seq for seq in seen if seq > again["after"]] == list(range(again["after"] + 1, _LAST + 41))
    assert [seq for seq in seen if seq <= again["after"]] == list(range(_LAST + 4, again["after"] + 1, 2))


async def test_a_number_that_is_not_there_yet_is_of_another_run(tmp_path: Path) -> None:
    async with _connected(tmp_path) as client:
        error = await client.call("events.subscribe", after=1000)

    assert error["code"] == INVALID_PARAMS and "another run" in error["message"]


async def test_one_who_was_too_slow_is_told_what_is_missing_and_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_KEPT", 8)
    monkeypatch.setattr(rpc_writer, "_QUEUE", 1)
    async with _connected(tmp_path, lockstep=True) as client:
        await client.call("events.subscribe", subscription="s", after=0, workers="all")
        await client.push()
        for _ in range(60):  # more than fits anywhere on the way
            await client.write(1)
            await wait_all_tasks_blocked()
        seen, lagged = list[int](), list[Any]()
        while not seen or seen[-1] < _LAST + 60:
            method, params = await client.push()
            if method == "events.lagged":
                lagged.append(params)
                missing = await client.call(
                    "events.read", after=params["first"] - 1, upto=params["last"], workers="all"
                )
                assert not missing["more"]
                params = missing
            seen += [record["seq"] for record in params["records"]]

    assert lagged and seen == list(range(_LAST + 1, _LAST + 61))


async def test_one_who_wants_no_gaps_gets_all_however_slow_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_KEPT", 8)
    monkeypatch.setattr(rpc_writer, "_QUEUE", 1)
    async with _connected(tmp_path, lockstep=True) as client:
        await client.call("events.subscribe", after=0, workers="all", replay=True)
        await client.push()
        for _ in range(60):
            await client.write(1)
            await wait_all_tasks_blocked()
        seen: list[int] = []
        while not seen or seen[-1] < _LAST + 60:
            method, params = await client.push()
            assert method == "events.records"
            seen += [record["seq"] for record in params["records"]]

    assert seen == list(range(_LAST + 1, _LAST + 61))
