"""The bytes of an event stream straight from its socket: all that one read brings comes at once.

An HTTP client hands out each chunk of the body by itself, at five times the cost of what we do with the event in it.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Self

import trio

from protocols.chunked import ChunkedBody, head_of
from protocols.errors import ServerError

__all__ = ["EventSocket"]

_RECEIVE = 256 * 1024
_STREAM = "text/event-stream"


@dataclass(slots=True)
class EventSocket:
    """A connection over which a stream of events comes, in the chunked coding."""

    stream: trio.SocketStream
    first: bytes
    """What came together with the head."""

    @classmethod
    async def open(cls, host: str, port: int, request: bytes) -> Self | None:
        """None: it answers with something else, or in another coding. Raise OSError or `ServerError`."""
        stream = await trio.open_tcp_stream(host, port)
        try:
            await stream.send_all(request)
            data = b""
            while (head := head_of(data)) is None:
                received = await stream.receive_some(_RECEIVE)
                if not received:
                    raise ServerError("it closed the connection without an answer", "broken")
                data += received
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            await trio.aclose_forcefully(stream)
            raise ServerError("it closed the connection without an answer", "broken") from exc
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        status, fields, first = head
        if (
            status == 200
            and _STREAM in fields.get("content-type", "")
            and fields.get("transfer-encoding", "").lower() == "chunked"
        ):
            return cls(stream, first)
        await trio.aclose_forcefully(stream)
        return None

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Until the body ends. Raise `ServerError` where the connection ends before it."""
        body = ChunkedBody()
        data = self.first
        while True:
            if found := body.feed(data):
                yield found
            if body.ended:
                return
            try:
                data = await self.stream.receive_some(_RECEIVE)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
                raise ServerError("the connection was cut off", "broken") from exc
            if not data:
                raise ServerError("the connection ended in the middle of the stream", "broken")

    async def close(self) -> None:
        """At once."""
        await trio.aclose_forcefully(self.stream)
