"""All records from a number on: first those of the journal, then the live ones, none missing and none twice."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import trio

from actors.batches import receive_batch
from actors.journal_file import read_records
from actors.messages import Lagged, Subscribe
from protocols.events import Record

__all__ = ["follow_records"]

_PAGE = 1000


async def follow_records(
    path: Path, requests: trio.MemorySendChannel[Subscribe], after: int = 0, *, buffer: int = 1024
) -> AsyncGenerator[Record, None]:
    """Yield the records behind number ``after`` until the hub ends. Use it within ``aclosing``.

    A consumer that is too slow for the hub gets what it missed from the journal. Raise `JournalError`.
    """
    outbox, inbox = trio.open_memory_channel[Record | Lagged](buffer)
    async with inbox:
        await _subscribe(requests, outbox)
        # From here on nothing passes unseen. What came before is missed like anything else: the journal has it.
        messages: list[Record | Lagged] = [Lagged(after + 1)]
        while messages:
            for message in messages:
                if isinstance(message, Record) and message.seq == after + 1:
                    yield message
                    after = message.seq
                elif isinstance(message, Lagged) or message.seq > after:
                    async with aclosing(_replay(path, after)) as replayed:
                        async for record in replayed:
                            yield record
                            after = record.seq
            messages = await receive_batch(inbox, buffer)


async def _subscribe(
    requests: trio.MemorySendChannel[Subscribe], outbox: trio.MemorySendChannel[Record | Lagged]
) -> None:
    registered = trio.Event()
    try:
        await requests.send(Subscribe(outbox, registered))
    except trio.BrokenResourceError:  # the hub has ended: the journal is complete
        outbox.close()
    else:
        await registered.wait()


async def _replay(path: Path, after: int) -> AsyncGenerator[Record, None]:
    while page := await trio.to_thread.run_sync(_read_page, path, after):
        for record in page:
            yield record
        after = page[-1].seq


def _read_page(path: Path, after: int) -> list[Record]:
    return list(read_records(path, after, limit=_PAGE))
