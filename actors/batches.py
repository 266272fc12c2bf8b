"""Taking all that waits in a channel at once: a turn of the scheduler costs more than most messages."""

from typing import TypeVar

import trio

__all__ = ["receive_batch", "receive_batch_nowait"]

T = TypeVar("T")


async def receive_batch(channel: trio.MemoryReceiveChannel[T], at_most: float) -> list[T]:
    """Wait for a message and take what stands behind it too. Empty: all senders are gone.

    Nothing is taken if this is cancelled.
    """
    try:
        first = await channel.receive()
    except trio.EndOfChannel:
        return []
    return [first, *receive_batch_nowait(channel, at_most - 1)]


def receive_batch_nowait(channel: trio.MemoryReceiveChannel[T], at_most: float) -> list[T]:
    """Take what is there, which may be nothing."""
    batch: list[T] = []
    try:
        while len(batch) < at_most:
            batch.append(channel.receive_nowait())
    except (trio.WouldBlock, trio.EndOfChannel):
        pass
    return batch
