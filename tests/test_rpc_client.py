"""Calls over connections that break, and servers that go and come back."""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from trio_websocket import WebSocketConnection

from actors.rpc_client import RpcClient
from actors.rpc_connection import GoneError
from protocols.errors import FleetError, InputError, UnreachableError
from tests.rpc_server import Method, RefuseError, RpcServer, connect_to


async def echo(params: object) -> object:
    return params


async def never(_: object) -> object:
    await trio.sleep_forever()


def client_of(server: RpcServer, patience: float = 20.0) -> RpcClient:
    return RpcClient(name="board", connect=partial(connect_to, server.path), patience=patience)


@asynccontextmanager
async def called(
    folder: Path, methods: Mapping[str, Method], patience: float = 20.0
) -> AsyncIterator[tuple[RpcClient, RpcServer]]:
    """A client that is connected, and its server."""
    server = RpcServer(folder / "s.sock", methods)
    client = client_of(server, patience)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        await nursery.start(client.run)
        yield client, server
        await client.leave()
        nursery.cancel_scope.cancel()


async def test_many_calls_at_once_have_each_their_own_answer(tmp_path: Path) -> None:
    answers: dict[int, object] = {}

    async with called(tmp_path, {"echo": echo}) as (client, _):

        async def ask(number: int) -> None:
            answers[number] = await client.call("echo", {"number": number}, dict[str, int])

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, number)

    assert answers == {number: {"number": number} for number in range(100)}


async def test_a_call_without_an_answer_is_sent_again_over_the_next_connection(tmp_path: Path) -> None:
    asked = itertools.count()

    async def second_time(params: object) -> object:
        if not next(asked):
            await server.cut()
            await trio.sleep_forever()
        return params

    async with called(tmp_path, {"act": second_time}) as (client, server):
        assert await client.call("act", {"key": "k"}, dict[str, str]) == {"key": "k"}

    assert server.asked("act") == [{"key": "k"}, {"key": "k"}]


async def test_what_was_answered_is_not_sent_again(tmp_path: Path) -> None:
    async with called(tmp_path, {"echo": echo}) as (client, server):
        assert await client.call("echo", {"n": 1}, dict[str, int]) == {"n": 1}
        await server.cut()
        assert await client.call("echo", {"n": 2}, dict[str, int]) == {"n": 2}

    assert server.asked("echo") == [{"n": 1}, {"n": 2}]


async def test_a_server_that_comes_back_is_a_pause(tmp_path: Path, nursery: trio.Nursery) -> None:
    server = RpcServer(tmp_path / "s.sock", {"echo": echo})
    client = client_of(server)
    life = await nursery.start(_live, server)
    await nursery.start(client.run)

    life.cancel()
    async with trio.open_nursery() as calling:

        async def ask() -> None:
            assert await client.call("echo", {"n": 1}, dict[str, int]) == {"n": 1}

        calling.start_soon(ask)
        await wait_all_tasks_blocked()
        await nursery.start(server.run)

    nursery.cancel_scope.cancel()


async def _live(server: RpcServer, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        task_status.started(nursery.cancel_scope)


async def test_one_who_is_gone_for_good_fails_all_calls(tmp_path: Path, nursery: trio.Nursery) -> None:
    server = RpcServer(tmp_path / "s.sock", {"wait": never})
    client = client_of(server, patience=0.0)
    life = await nursery.start(_live, server)
    await nursery.start(client.run)

    async def leave() -> None:
        await server.was_asked.wait()
        life.cancel()

    nursery.start_soon(leave)
    with pytest.raises(UnreachableError, match="board: "):
        await client.call("wait", {}, object)
    with pytest.raises(UnreachableError, match="board: "):
        await client.call("wait", {}, object)
    nursery.cancel_scope.cancel()


async def test_one_who_is_not_there_is_told(tmp_path: Path) -> None:
    client = client_of(RpcServer(tmp_path / "s.sock", {}))
    client.first_patience = 0.0

    async with trio.open_nursery() as nursery:
        with pytest.raises(UnreachableError, match="board: No such file or directory, for 0 s"):
            await nursery.start(client.run)


@pytest.mark.parametrize(
    ("code", "kind"), [(-32000, InputError), (-32602, InputError), (-32601, FleetError), (-32603, FleetError)]
)
async def test_a_refusal_is_an_error_in_the_words_of_the_server(
    tmp_path: Path, code: int, kind: type[FleetError]
) -> None:
    async def refuse(_: object) -> object:
        raise RefuseError(code, "it is late")

    async with called(tmp_path, {"act": refuse}) as (client, _):
        with pytest.raises(FleetError, match=r"^it is late$") as caught:
            await client.call("act", {}, object)

    assert type(caught.value) is kind


async def test_an_overloaded_server_is_asked_again(tmp_path: Path) -> None:
    asked = itertools.count()

    async def busy(_: object) -> object:
        if next(asked) < 2:
            raise RefuseError(-32001, "overloaded")
        return "done"

    async with called(tmp_path, {"act": busy}) as (client, _):
        assert await client.call("act", {}, str) == "done"


async def test_an_answer_of_another_version_is_told(tmp_path: Path) -> None:
    async with called(tmp_path, {"echo": echo}) as (client, _):
        with pytest.raises(FleetError, match=r"board: echo: its answer is not understood: Expected `int`"):
            await client.call("echo", {"n": 1}, int)


async def test_one_that_has_ended_in_order_is_not_waited_for(tmp_path: Path, nursery: trio.Nursery) -> None:
    server = RpcServer(tmp_path / "s.sock", {"wait": never})
    client = client_of(server, patience=1000.0)
    life = await nursery.start(_live, server)
    await nursery.start(client.run)

    async def leave() -> None:
        await server.was_asked.wait()
        client.connect = _ended
        life.cancel()

    nursery.start_soon(leave)
    with pytest.raises(GoneError, match="it has ended"):
        await client.call("wait", {}, object)
    nursery.cancel_scope.cancel()


@asynccontextmanager
async def _ended() -> AsyncIterator[WebSocketConnection]:
    if trio.current_time():
        raise GoneError("it has ended")
    yield _no_socket()


def _no_socket() -> WebSocketConnection:
    raise AssertionError("nobody gets so far")
