"""Tells the journal what was decided, without ever waiting for it."""

import math
from contextlib import suppress
from typing import NamedTuple

import trio

from actors.messages import Append
from protocols.events import Event
from protocols.ledger import Told

__all__ = ["Receipt", "Teller"]

_BETWEEN = 256
"""Events of an outbox for which there is one receipt: for a receipt the journal writes at once."""


class Receipt(NamedTuple):
    """All of the outbox up to this number is in the journal once ``committed`` is set."""

    number: int
    committed: trio.Event


class Teller:
    """Passes events on at once where the journal takes them. Where it does not, nobody waits here: it may wait for
    its disk, and a stop has to come through all the same. What is late is bounded by the plan and by who stops."""

    def __init__(self, outbox: trio.MemorySendChannel[Append], source: str = "") -> None:
        """``source``: the name of the ledger whose outbox is told."""
        self._outbox = outbox
        self._source = source
        self._send, self._receive = trio.open_memory_channel[Append](math.inf)
        self._receipts, self.receipts = trio.open_memory_channel[Receipt](1)
        self._late = 0
        self._unconfirmed = 0

    def tell(self, event: Event) -> None:
        self._tell(Append(event))

    def tell_from_outbox(self, told: Told) -> None:
        """There is a receipt for it, or for a later one, as soon as somebody takes the one before."""
        self._unconfirmed += 1
        committed = None
        if self._unconfirmed >= _BETWEEN:
            receipt = Receipt(told.number, trio.Event())
            with suppress(trio.WouldBlock):
                self._receipts.send_nowait(receipt)
                committed, self._unconfirmed = receipt.committed, 0
        self._tell(Append(told.event, committed, (self._source, told.number)))

    def close(self) -> None:
        """Nothing more is told: `run` returns when nothing is late."""
        self._send.close()
        self._receipts.close()

    async def run(self) -> None:
        async for append in self._receive:
            await self._outbox.send(append)
            self._late -= 1

    def _tell(self, append: Append) -> None:
        if not self._late:
            with suppress(trio.WouldBlock):
                self._outbox.send_nowait(append)
                return
        self._late += 1
        self._send.send_nowait(append)
