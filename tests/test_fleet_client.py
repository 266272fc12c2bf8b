"""The client of a fleet's socket, and supervisors that leave in the middle of a word."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from actors.unix_socket import bind_unix
from protocols.control import StopParams, StopResult
from protocols.errors import FleetError, UnreachableError
from supervisor.fleet_client import FleetClient, open_fleet_client


@asynccontextmanager
async def served(folder: Path, serve: Callable[[trio.SocketStream], Awaitable[object]]) -> AsyncIterator[FleetClient]:
    """A client of a supervisor that does ``serve`` with its only connection, and is gone then."""
    with bind_unix(folder / "s.sock") as bound:
        bound.setblocking(False)
        listener = trio.socket.from_stdlib_socket(bound)
        async with trio.open_nursery() as nursery, open_fleet_client(folder / "s.sock") as client:

            async def accept() -> None:
                connection, _ = await listener.accept()
                async with trio.SocketStream(connection) as stream:
                    await serve(stream)

            nursery.start_soon(accept)
            yield client
            nursery.cancel_scope.cancel()


async def test_an_answer_may_come_in_pieces(tmp_path: Path) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        request = json.loads(await stream.receive_some())
        result = {"reason": request["params"]["reason"], "grace": 2.5}
        answer = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode() + b"\n"
        for at in range(len(answer)):
            await stream.send_all(answer[at : at + 1])

    async with served(tmp_path, serve) as client:
        assert await client.stop(StopParams(reason="over")) == StopResult("over", 2.5)
        await client.wait_closed()


async def test_a_refusal_is_told_in_the_words_of_the_supervisor(tmp_path: Path) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "it is late"}}\n')

    async with served(tmp_path, serve) as client:
        with pytest.raises(FleetError, match="it is late"):
            await client.status()


@pytest.mark.parametrize("words", [b"", b'{"jsonrpc"'])
async def test_a_supervisor_that_leaves_without_an_answer_was_not_reached(tmp_path: Path, words: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(words)

    async with served(tmp_path, serve) as client:
        with pytest.raises(UnreachableError, match="closed the connection"):
            await client.status()


async def test_a_supervisor_that_leaves_without_having_listened_was_not_reached(tmp_path: Path) -> None:
    with bind_unix(tmp_path / "s.sock") as listener:
        async with open_fleet_client(tmp_path / "s.sock") as client:
            await client.stream.send_all(b"some words before")
            listener.close()

            with pytest.raises(UnreachableError, match="closed the connection"):
                await client.status()


async def test_a_supervisor_that_says_nothing_is_not_waited_for_long(tmp_path: Path, autojump_clock: MockClock) -> None:
    async def serve(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with served(tmp_path, serve) as client:
        with pytest.raises(UnreachableError, match="has not answered for 5 s"):
            await client.status()


async def test_a_socket_that_nobody_listens_on_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"s\.sock: no supervisor answers there: No such file"):
        async with open_fleet_client(tmp_path / "s.sock"):
            pass
