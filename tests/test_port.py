"""The port takes what is in order, bounds all it takes, and ends in time, whoever is connected."""

import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection

from actors.port.limits import PortLimits
from actors.port.listeners import bind_tcp, inherit
from actors.port.service import Message
from protocols.peer import Peer
from tests.port_client import BEARER, ask, open_port


async def stream_events(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """One event, and then none for ever; on /flood a body without an end; on /broken an error."""
    if scope["path"] == "/broken":
        raise ValueError("an error of the app")
    kind = b"text/event-stream" if scope["path"] == "/events" else b"text/plain"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": b"id: 1\ndata: x\n\n", "more_body": True})
    while scope["path"] == "/flood":
        await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
    await receive()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read_until(stream: trio.abc.ReceiveStream, end: bytes) -> bytes:
    answer = bytearray()
    while end not in answer:
        part = await stream.receive_some()
        assert part, bytes(answer)
        answer += part
    return bytes(answer)


async def test_a_request_with_the_token_reaches_the_app_and_says_who_asks(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        answer = await port.say(ask("POST", "/a%20b", BEARER, body=b"12345"))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"POST /a b token admin 5")


async def test_health_is_for_everybody(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        answer = await port.say(ask("GET", "/health"))

    assert answer.endswith(b"GET /health anybody 0")


async def test_one_connection_takes_many_requests_also_all_at_once(tmp_path: Path) -> None:
    request = f"GET /x HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n\r\n".encode()

    async with open_port(tmp_path) as port:
        answers = await port.say(request * 20 + ask("GET", "/last", BEARER))

        assert answers.count(b"GET /x token admin 0") == 20
        assert answers.endswith(b"GET /last token admin 0")
        assert (port.counts.accepted, port.counts.requests) == (1, 21)


async def test_the_answer_to_head_has_the_length_and_no_body(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        answer = await port.say(ask("HEAD", "/x", BEARER))

    assert b"content-length: 21\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_a_client_that_waits_for_permission_to_send_its_body_gets_it(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as stream:
        await stream.send_all(ask("POST", "/x", BEARER, "Content-Length: 3", "Expect: 100-continue"))
        assert (await _read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        answer = await port.exchange(stream, b"abc")

    assert answer.endswith(b"POST /x token admin 3")


async def test_a_client_that_announces_too_much_is_refused_before_it_sends_anything(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await port.connect() as stream:
        await stream.send_all(ask("POST", "/x", BEARER, "Content-Length: 9999999", "Expect: 100-continue"))
        answer = await _read_until(stream, b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_who_was_not_let_in_sends_no_long_body(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        long = await port.say(ask("POST", "/health", "Content-Length: 5000"))
        short = await port.say(ask("POST", "/health", body=bytes(4096)))

    assert long.startswith(b"HTTP/1.1 413 ") and short.startswith(b"HTTP/1.1 200 ")


async def test_an_error_of_the_app_is_logged_and_answered_and_ends_only_that_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_port(tmp_path, app=stream_events) as port:
        answer = await port.get("/broken")
        async with await port.connect() as stream:
            await stream.send_all(ask("GET", "/events", BEARER))
            assert await _read_until(stream, b"data: x\n\n")

        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"an error of the app" not in answer
        assert port.counts.failed == 1
    assert [each.getMessage() for each in caplog.records] == ["a connection of the port"]


async def test_an_app_hears_that_its_client_went_away(tmp_path: Path) -> None:
    heard = trio.Event()

    async def listening(
        scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await stream_events(scope, receive, send)
        heard.set()

    async with open_port(tmp_path, app=listening) as port:
        async with await port.connect() as stream:
            await stream.send_all(ask("GET", "/events", BEARER))
            await _read_until(stream, b"data: x\n\n")
        await heard.wait()
        await _until(lambda: port.counts.open == 0)

        assert port.counts.failed == 0


async def test_a_websocket_with_the_token_reaches_the_handler(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, port.websocket() as ws:
        assert await ws.get_message() == "token admin"
        await ws.send_message("abc")
        assert await ws.get_message() == "abc"


async def test_the_unix_socket_needs_no_token(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await trio.open_unix_socket(port.socket) as stream:
        answer = await port.exchange(stream, ask("GET", "/x"))

    assert b"GET /x user " in answer


async def test_one_address_has_so_many_connections_and_all_together_so_many(tmp_path: Path) -> None:
    async with open_port(tmp_path, limits=PortLimits(connections=3, per_peer=2)) as port:
        async with await port.connect() as first, await port.connect():
            await _until(lambda: port.counts.open == 2)
            same = await port.say(b"")
            async with await trio.open_unix_socket(port.socket):
                await _until(lambda: port.counts.open == 3)
                all_ = await port.say(b"")
            await first.aclose()
            await _until(lambda: port.counts.open == 1)
            after = await port.get()

        assert same.startswith(b"HTTP/1.1 429 ")
        assert all_.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in all_
        assert after.startswith(b"HTTP/1.1 200 ")


async def test_at_the_end_a_stream_of_events_gets_a_last_one_and_a_websocket_1001(tmp_path: Path) -> None:
    async with (
        open_port(tmp_path, app=stream_events, limits=PortLimits(farewell=10)) as port,
        await port.connect() as stream,
        await port.connect() as idle,
    ):
        await stream.send_all(ask("GET", "/events", BEARER))
        await _read_until(stream, b"data: x\n\n")
        async with port.websocket() as socket:
            await socket.get_message()
            port.stop.cancel()
            with pytest.raises(ConnectionClosed) as closed:
                await socket.get_message()
        answer = await port.exchange(stream, b"")

        assert closed.value.reason is not None
        assert closed.value.reason.code == 1001
        assert b"event: bye\ndata: " in answer
        assert answer.endswith(b"\r\n0\r\n\r\n")
        assert await port.exchange(idle, b"") == b""


async def test_who_does_not_read_does_not_hold_the_end(tmp_path: Path) -> None:
    limits = PortLimits(farewell=0.1, send=3600, ping=3600)

    async def pour(socket: WebSocketConnection, _: Peer) -> None:
        while True:
            await socket.send_message(bytes(100_000))

    async with open_port(tmp_path, app=stream_events, rpc=pour, limits=limits) as port:
        flood = await port.connect()
        await flood.send_all(ask("GET", "/flood", BEARER))
        stalled = await port.connect()
        await stalled.send_all(ask("GET", "/events", BEARER))
        handshake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        deaf = await port.connect()
        await deaf.send_all(
            b"GET /rpc HTTP/1.1\r\nHost: localhost\r\n"
            + "\r\n".join([*handshake, BEARER, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]).encode()
        )
        await _until(lambda: port.counts.requests == 3)
        await wait_all_tasks_blocked(0.05)
        port.stop.cancel()

    for each in (flood, stalled, deaf):
        await each.aclose()


async def test_a_client_that_stops_reading_is_dropped_and_others_are_served(tmp_path: Path) -> None:
    async with open_port(tmp_path, app=stream_events, limits=PortLimits(send=0.05)) as port:
        async with await port.connect() as flood:
            await flood.send_all(ask("GET", "/flood", BEARER))
            await _until(lambda: port.counts.requests == 1)
            async with await port.connect() as stream:
                await stream.send_all(ask("GET", "/events", BEARER))
                await _read_until(stream, b"data: x\n\n")
            await _until(lambda: port.counts.open == 0)

        assert port.counts.failed == 0


def test_a_listening_socket_is_inherited() -> None:
    with bind_tcp("127.0.0.1", 0) as bound, inherit([os.dup(bound.fileno())])[0] as again:
        assert again.getsockname() == bound.getsockname()


def test_what_is_no_listening_socket_is_not_inherited() -> None:
    with socket.socket() as other, pytest.raises(OSError, match="no socket that listens"):
        inherit([os.dup(other.fileno())])


async def _until(true: Callable[[], bool]) -> None:
    """What the port does in tasks of its own is seen from here by looking; the test has a deadline."""
    while not true():  # noqa: ASYNC110 - of others
        await trio.sleep(0.005)
