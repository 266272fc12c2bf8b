"""The method ``follow`` of a fleet's socket: its records, as they come."""

from contextlib import aclosing
from pathlib import Path

import trio

from actors.messages import Subscribe
from actors.subscription import follow_records
from protocols.event_codec import encode_record

__all__ = ["send_records"]

_SEND = 5.0  # one that reads nothing is dropped; it comes back with the number that it has
_BUFFER = 256


async def send_records(
    stream: trio.SocketStream, journal: Path, subscribe: trio.MemorySendChannel[Subscribe], after: int
) -> None:
    """All records behind number ``after``, each as a notification, until the fleet ends or the client goes."""
    async with aclosing(follow_records(journal, subscribe, after, buffer=_BUFFER)) as records:
        async for record in records:
            line = b'{"jsonrpc":"2.0","method":"record","params":%b}\n' % encode_record(record)
            with trio.fail_after(_SEND):
                await stream.send_all(line)
