"""Nobody holds a connection of the port by being slow: in the time of a mock clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream

from actors.port.access import Access
from actors.port.caller import Caller
from actors.port.http_connection import HttpConnection
from actors.port.limits import PortLimits
from actors.port.service import App, PortCounts, RpcHandler, Service
from actors.port.stream import PortStream
from tests.port_client import BEARER, SECRET, ask, echo, hello

_LIMITS = PortLimits()


@asynccontextmanager
async def _connection(
    ours: trio.abc.Stream, *, app: App = hello, rpc: RpcHandler = echo
) -> AsyncIterator[dict[str, float]]:
    """Serve ``ours`` like one connection; what is yielded tells at its end how long it lived."""
    service = Service(app=app, rpc=rpc, access=Access(secret=SECRET), limits=_LIMITS, counts=PortCounts())
    stream = PortStream(stream=ours, patience=_LIMITS.send)
    connection = HttpConnection(stream=stream, caller=Caller(address="a", group="a"), service=service)
    lived: dict[str, float] = {}

    async def serve() -> None:
        try:
            await connection.run()
        except* trio.BrokenResourceError:
            lived["broken"] = trio.current_time() - start
        lived["ended"] = trio.current_time() - start
        await trio.aclose_forcefully(ours)

    async with trio.open_nursery() as nursery:
        start = trio.current_time()
        nursery.start_soon(serve)
        yield lived


async def _read_all(stream: trio.abc.ReceiveStream) -> bytes:
    answer = bytearray()
    while part := await stream.receive_some():
        answer += part
    return bytes(answer)


async def test_a_client_that_says_nothing_is_dropped_without_a_word(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()

    async with _connection(ours) as lived:
        assert await _read_all(theirs) == b""

    assert lived == {"ended": pytest.approx(_LIMITS.header)}


async def test_headers_that_trickle_in_end_with_408(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()

    async def trickle() -> None:
        for byte in b"GET /x HTTP/1.1\r\n" + b"X: y\r\n" * 1000:
            try:
                await theirs.send_all(bytes([byte]))
            except trio.BrokenResourceError:
                return
            await trio.sleep(0.5)

    async with _connection(ours) as lived, trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        answer = await _read_all(theirs)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert lived["ended"] <= _LIMITS.header + 2


async def test_between_two_requests_a_client_may_rest_for_so_long(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    request = f"GET /x HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n\r\n".encode()

    async with _connection(ours) as lived:
        await theirs.send_all(request)
        await trio.sleep(_LIMITS.idle - 1)
        await theirs.send_all(request)
        answer = await _read_all(theirs)

    assert answer.count(b"GET /x token admin 0") == 2
    assert lived["ended"] == pytest.approx(2 * _LIMITS.idle - 1)


async def test_the_headers_of_a_later_request_have_the_same_deadline_from_their_first_byte(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_stream_pair()

    async with _connection(ours) as lived:
        await theirs.send_all(f"GET /x HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n\r\n".encode())
        await trio.sleep(20)
        await theirs.send_all(b"GET /x HTTP/1.1\r\n")
        answer = await _read_all(theirs)

    assert b"HTTP/1.1 408 " in answer
    assert 20 + _LIMITS.header <= lived["ended"] <= 20 + _LIMITS.header + 2


async def test_a_body_that_does_not_come_ends_with_408(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()

    async with _connection(ours) as lived:
        await theirs.send_all(ask("POST", "/x", BEARER, "Content-Length: 10") + b"abc")
        answer = await _read_all(theirs)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert _LIMITS.body <= lived["ended"] <= _LIMITS.body + 2


async def test_a_client_that_does_not_read_its_answer_is_dropped(autojump_clock: MockClock) -> None:
    ours, theirs = lockstep_stream_pair()

    async with _connection(ours) as lived:
        await theirs.send_all(ask("GET", "/x", BEARER))

    assert lived["broken"] == pytest.approx(_LIMITS.send)
    await theirs.aclose()


async def test_a_websocket_that_does_not_tell_its_token_is_closed(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()

    async with _connection(ours) as lived, _websocket(theirs) as socket:
        await trio.sleep(_LIMITS.token + 1)

        assert socket.closed is not None
        assert socket.closed.code == 1008
    assert lived["ended"] <= _LIMITS.token + 3


async def test_a_websocket_that_answers_pings_may_be_silent_for_hours(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()

    async with _connection(ours) as lived, _websocket(theirs) as socket:
        await _tell_token(socket)
        await trio.sleep(7200)
        await socket.send_message("abc")
        assert await socket.get_message() == "abc"

    assert "broken" not in lived


async def test_a_websocket_that_answers_no_ping_is_dropped(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()

    async with _connection(ours) as lived, _websocket(theirs) as socket:
        await _tell_token(socket)
        theirs.send_stream.send_all_hook = None  # what is sent from here on arrives nowhere
        await trio.sleep(_LIMITS.ping + _LIMITS.pong + 1)

        assert lived["broken"] == pytest.approx(_LIMITS.ping + _LIMITS.pong)


@asynccontextmanager
async def _websocket(stream: trio.abc.Stream) -> AsyncIterator[WebSocketConnection]:
    async with trio.open_nursery() as nursery:
        socket = await wrap_client_stream(nursery, cast(trio.SocketStream, stream), "localhost", "/rpc")
        yield socket
        await socket.aclose()
        nursery.cancel_scope.cancel()


async def _tell_token(socket: WebSocketConnection) -> None:
    auth = {"jsonrpc": "2.0", "id": 1, "method": "auth", "params": {"token": SECRET}}
    await socket.send_message(msgspec.json.encode(auth).decode())
    assert msgspec.json.decode(await socket.get_message())["result"] == {"scope": "admin", "who": "token admin"}
    assert await socket.get_message() == "token admin"
