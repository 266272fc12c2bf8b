"""The stream under one connection of the port: what is short goes out at once, and all of it in order."""

import socket

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.port.stream import PortStream

_PIECES = st.lists(st.one_of(st.binary(max_size=20), st.integers(1, 200_000).map(lambda size: b"x" * size)), max_size=8)


async def _pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    return tuple(trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in (ours, theirs))  # type: ignore[return-value] # of two


@given(_PIECES)
def test_short_and_long_messages_come_whole_and_in_order(pieces: list[bytes]) -> None:
    async def main() -> bytes:
        ours, theirs = await _pair()
        got = bytearray()

        async def read() -> None:
            async for data in theirs:
                got.extend(data)

        async with theirs, trio.open_nursery() as nursery:
            nursery.start_soon(read)
            async with ours:
                stream = PortStream(stream=ours, patience=10.0)
                for piece in pieces:
                    await stream.send_all(piece)
        return bytes(got)

    assert trio.run(main) == b"".join(pieces)


async def test_a_short_message_for_which_there_is_no_room_waits_its_time_and_breaks_the_connection() -> None:
    ours, theirs = await _pair()
    async with ours, theirs:
        stream = PortStream(stream=ours, patience=0.05)
        with pytest.raises(trio.BrokenResourceError, match="does not read"):
            await _send_for_ever(stream)
        with pytest.raises(trio.BrokenResourceError, match="cut short"):
            await stream.send_all(b"x")


async def _send_for_ever(stream: PortStream) -> None:
    while True:
        await stream.send_all(b"x" * 1000)


async def test_a_peer_that_is_gone_and_a_stream_that_is_closed_are_told_at_once() -> None:
    ours, theirs = await _pair()
    await theirs.aclose()
    stream = PortStream(stream=ours, patience=10.0)
    with pytest.raises(trio.BrokenResourceError, match="gone"):
        await stream.send_all(b"x")
    await stream.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"x")
