"""One order for a worker, and its one answer."""

from collections.abc import Callable

import trio

from actors.orders import Answer, Order
from protocols.errors import KeeperError, SpawnError

__all__ = ["ask_worker"]

ANSWER = 2.0  # seconds; a keeper answers at once, or is lost


async def ask_worker(
    orders: trio.MemorySendChannel[Order],
    order: Callable[[trio.MemorySendChannel[Answer]], Order],
    patience: float = ANSWER,
) -> Answer:
    """An error that is a `SpawnError` says that nothing has arrived; behind any other it may have."""
    send, receive = trio.open_memory_channel[Answer](1)
    with send, receive:
        with trio.move_on_after(patience) as scope:
            try:
                await orders.send(order(send))
            except trio.BrokenResourceError:
                return Answer(error=SpawnError("the run is ending and takes no more orders", "ESHUTDOWN"))
        if scope.cancelled_caught:
            return Answer(error=SpawnError("too many orders wait for the workers; try again", "EAGAIN"))
        with trio.move_on_at(scope.deadline):
            return await receive.receive()
    return Answer(error=KeeperError(f"no answer within {patience:g} s; nobody knows whether it arrived"))
