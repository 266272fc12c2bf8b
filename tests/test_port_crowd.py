"""Hundreds who say nothing, say it slowly, do not read or vanish: others are served, and what they took comes back."""

import gc
import os
import socket
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import trio

from actors.port.http_connection import HttpConnection
from actors.port.limits import PortLimits
from tests.port_client import BEARER, Opened, ask, open_port
from tests.test_port import stream_events

_MANY = 500


async def _until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - of others
        await trio.sleep(0.005)


def _descriptors() -> int:
    gc.collect()  # or what an earlier test left would be counted
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not read


def _connections() -> int:
    gc.collect()
    return sum(isinstance(each, HttpConnection) for each in gc.get_objects())


async def _serves(port: Opened) -> bool:
    answers = [await port.say(ask("GET", "/health")) for _ in range(5)]
    return all(each.startswith(b"HTTP/1.1 200 ") for each in answers)


async def test_five_hundred_connections_that_send_nothing_hinder_nobody_and_are_dropped(tmp_path: Path) -> None:
    limits = PortLimits(header=3)
    before = _descriptors()

    async with open_port(tmp_path, limits=limits) as port:
        async with AsyncExitStack() as stack:
            for _ in range(_MANY):
                await stack.enter_async_context(await port.connect())
            await _until(lambda: port.counts.accepted == _MANY)
            assert await _serves(port)
            await _until(lambda: port.counts.open == 0)
        assert await _serves(port)
        await _until(lambda: port.counts.open == 0)

        assert port.counts.failed == 0
        assert _connections() == 0
    assert _descriptors() == before


async def test_headers_that_trickle_in_on_many_connections_hinder_nobody(tmp_path: Path) -> None:
    async def trickle() -> None:
        async with await port.connect() as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"GET /x HTTP/1.1\r\n")
                while True:
                    await stream.send_all(b"X: y\r\n")
                    await trio.sleep(0.05)

    async with open_port(tmp_path, limits=PortLimits(header=3)) as port:
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(trickle)
            await _until(lambda: port.counts.accepted >= 100)
            assert await _serves(port)

        assert port.counts.refused == {408: 100}
        assert port.counts.failed == 0


@pytest.mark.parametrize("path", ["/events", "/flood"])
async def test_clients_that_vanish_with_a_reset_leave_nothing_behind(path: str, tmp_path: Path) -> None:
    before = _descriptors()

    async with open_port(tmp_path, app=stream_events) as port:
        for _ in range(50):
            stream = await port.connect()
            await stream.send_all(ask("GET", path, BEARER))
            await stream.receive_some(10)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await stream.aclose()
        await _until(lambda: port.counts.open == 0)

        assert port.counts.failed == 0
        assert _connections() == 0
    assert _descriptors() == before


async def test_websockets_that_vanish_leave_nothing_behind(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        for _ in range(50):
            async with port.websocket() as socket_:
                await socket_.get_message()
        await _until(lambda: port.counts.open == 0)

        assert port.counts.websockets == 50
        assert port.counts.failed == 0
        assert _connections() == 0


async def test_a_crowd_of_idle_websockets_is_served_and_said_goodbye_to(tmp_path: Path) -> None:
    async with open_port(tmp_path, limits=PortLimits(farewell=20)) as port, AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(port.websocket()) for _ in range(100)]
        for each in sockets:
            await each.get_message()
        await sockets[7].send_message("abc")
        assert await sockets[7].get_message() == "abc"
        port.stop.cancel()
        await _until(lambda: all(each.closed is not None for each in sockets))

        assert {each.closed.code for each in sockets if each.closed is not None} == {1001}
