"""What the proxy does to a stream is what it says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from actors.opencode_client import OpenCodeClient
from actors.session_messages import Endpoint
from protocols.errors import ServerError
from protocols.sse import SseEvent, SseParser
from tests.fault_proxy import Cut, Double, Fault, Hold, Late, Split, faults, open_proxy

__all__: list[str] = []

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENTS = [f"event {number}" for number in range(20)]


@asynccontextmanager
async def _stream(fault: Fault) -> AsyncIterator[AsyncIterator[bytes]]:
    """A stream of events through the proxy, each a chunk, cut where no chunk ends."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        bodies = [f"data: {event}\n\n".encode() for event in EVENTS]
        answer = HEAD + b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies) + b"0\r\n\r\n"
        for start in range(0, len(answer), 50):
            await stream.send_all(answer[start : start + 50])

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        async with (
            open_proxy(listeners[0].socket.getsockname()[1], [fault]) as proxy,
            OpenCodeClient(Endpoint(proxy.url)).stream() as chunks,
        ):
            yield chunks
        nursery.cancel_scope.cancel()


async def _events(chunks: AsyncIterator[bytes]) -> list[str]:
    parser = SseParser()
    found: list[str] = []
    async for chunk in chunks:
        found += [each.data.decode() for each in parser.feed(chunk) if isinstance(each, SseEvent)]
    return found


@pytest.mark.parametrize("fault", [None, Split(1), Split(30), Late(0.001)])
async def test_nothing_of_the_stream_is_changed(fault: Fault) -> None:
    async with _stream(fault) as chunks:
        assert await _events(chunks) == EVENTS


async def test_each_event_comes_twice() -> None:
    async with _stream(Double()) as chunks:
        assert await _events(chunks) == [each for each in EVENTS for _ in range(2)]


async def test_a_stream_is_reset_in_its_midst() -> None:
    async with _stream(Cut(300)) as chunks:
        with pytest.raises(ServerError) as caught:
            await _events(chunks)

    assert caught.value.kind == "broken"


async def test_a_stream_falls_silent_without_an_end() -> None:
    async with _stream(Hold(300)) as chunks:
        assert await anext(chunks)
        with trio.move_on_after(0.05) as scope:
            await _events(chunks)

    assert scope.cancelled_caught


def test_a_seed_decides_what_happens() -> None:
    assert faults(7, 20) == faults(7, 20) != faults(8, 20)
    assert {type(each) for each in faults(7, 200)} == {Cut, Hold, Split, Double, Late}
