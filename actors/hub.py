"""The actor that shows records to whoever asked for them, and waits for nobody."""

import math
from dataclasses import dataclass, field

import trio

from actors.batches import receive_batch, receive_batch_nowait
from actors.messages import Lagged, Subscribe
from protocols.events import Record

__all__ = ["Hub"]

_BATCH = 512


@dataclass(slots=True, eq=False)
class _Subscriber:
    outbox: trio.MemorySendChannel[Record | Lagged]
    lagging: bool = False

    def offer(self, record: Record) -> None:
        """Send the record; or `Lagged`, into the last free place; or nothing while that message waits to be read.

        So it stands in the buffer from the moment the gap begins: it cannot be late, and nobody has to wait for room.
        """
        state = self.outbox.statistics()
        if state.max_buffer_size - state.current_buffer_used >= 2:
            self.outbox.send_nowait(record)
            self.lagging = False
        elif not self.lagging:
            self.outbox.send_nowait(Lagged(record.seq))
            self.lagging = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Send each record to all subscribers, in order. One that is too slow gets `Lagged` instead of what it missed.

    Returns when the senders of ``inbox`` are gone. Then nobody can subscribe any more, and all outboxes are closed.
    """

    inbox: trio.MemoryReceiveChannel[Record]
    requests: trio.MemoryReceiveChannel[Subscribe]
    _subscribers: list[_Subscriber] = field(default_factory=list, init=False)
    """A field, because a restart must not forget them."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery, self.inbox.clone() as inbox:
            nursery.start_soon(self._admit)
            task_status.started()
            while batch := await receive_batch(inbox, _BATCH):
                for record in batch:
                    self._publish(record)
            nursery.cancel_scope.cancel(reason="there are no more records to subscribe to")
        self._close()

    async def _admit(self) -> None:
        async with self.requests.clone() as requests:
            while batch := await receive_batch(requests, _BATCH):
                for request in batch:
                    self._add(request)

    def _add(self, request: Subscribe) -> None:
        self._drop([s for s in self._subscribers if not s.outbox.statistics().open_receive_channels])
        self._subscribers.append(_Subscriber(request.outbox))
        if request.registered is not None:
            request.registered.set()

    def _publish(self, record: Record) -> None:
        gone = []
        for subscriber in self._subscribers:
            try:
                subscriber.offer(record)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                gone.append(subscriber)
        self._drop(gone)

    def _drop(self, gone: list[_Subscriber]) -> None:
        for subscriber in gone:
            subscriber.outbox.close()
            self._subscribers.remove(subscriber)

    def _close(self) -> None:
        for request in receive_batch_nowait(self.requests, math.inf):
            self._add(request)
        self.requests.close()
        self._drop(self._subscribers.copy())
