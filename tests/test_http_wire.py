"""HTTP/1.1 on one connection of the port, without a port."""

from dataclasses import dataclass

import trio

from actors.port.http_wire import HttpWire
from actors.port.limits import PortLimits
from actors.port.stream import PortStream

_REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass
class _Flood(trio.abc.Stream):
    """A client that sends one request after the other, and waits for no answer."""

    sent: int = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        data = (_REQUEST * ((max_bytes or 1) // len(_REQUEST) + 2))[self.sent % len(_REQUEST) :][:max_bytes]
        self.sent += len(data)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_a_client_that_sends_requests_ahead_is_read_no_further_than_so_far_however_many_are_answered() -> None:
    client = _Flood()
    wire = HttpWire(stream=PortStream(stream=client, patience=1.0), limits=PortLimits())
    answered = 0
    for _ in range(50):
        assert await wire.next_request() is not None
        await wire.read_body(0)
        assert not await wire.wait_gone()
        wire.encode_head(200, [(b"content-length", b"0")], last=False)
        wire.encode_body(b"", more=False)
        assert wire.start_next()
        answered += 1

    assert client.sent - answered * len(_REQUEST) < 128 * 1024
