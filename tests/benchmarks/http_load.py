"""The clients of HTTP of a port that is measured: requests as fast as they are answered, and streams of events."""

import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import h11
import trio

__all__ = ["HttpClient"]

_READ = 64 * 1024


class HttpClient:
    """One connection."""

    def __init__(self, stream: trio.abc.Stream, host: str, token: str) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.CLIENT)
        self._headers = [("host", host), ("authorization", f"Bearer {token}")]

    @classmethod
    async def connect(cls, url: str, token: str) -> "HttpClient":
        place = urlsplit(url)
        assert place.hostname is not None and place.port is not None
        return cls(await trio.open_tcp_stream(place.hostname, place.port), place.netloc, token)

    async def get(self, path: str) -> AsyncIterator[bytes]:
        """The pieces of the body as they come. Raise RuntimeError where the status is not 200."""
        await self._send(h11.Request(method="GET", target=path, headers=self._headers))
        await self._send(h11.EndOfMessage())
        while True:
            match event := self._h11.next_event():
                case h11.NEED_DATA:
                    self._h11.receive_data(bytes(await self._stream.receive_some(_READ)))
                case h11.Response() if event.status_code != 200:
                    raise RuntimeError(f"{path}: {event.status_code}")
                case h11.Data():
                    yield bytes(event.data)
                case h11.EndOfMessage():
                    self._h11.start_next_cycle()
                    return
                case h11.ConnectionClosed():
                    raise RuntimeError(f"{path}: the connection was closed")

    async def time(self, path: str) -> tuple[float, int]:
        """Milliseconds of a request, and the bytes of its answer."""
        began = time.perf_counter()
        size = 0
        async for data in self.get(path):
            size += len(data)
        return (time.perf_counter() - began) * 1000, size

    async def _send(self, event: h11.Event) -> None:
        await self._stream.send_all(self._h11.send(event) or b"")
