"""Tells the journal what was decided, without ever waiting for it."""

import math
from contextlib import suppress

import trio

from actors.messages import Append
from protocols.events import Event

__all__ = ["Teller"]


class Teller:
    """Passes events on at once where the journal takes them. Where it does not, nobody waits here: it may wait for
    its disk, and a stop has to come through all the same. What is late is bounded by the plan and by who stops."""

    def __init__(self, outbox: trio.MemorySendChannel[Append]) -> None:
        self._outbox = outbox
        self._send, self._receive = trio.open_memory_channel[Append](math.inf)
        self._late = 0

    def tell(self, event: Event) -> None:
        if not self._late:
            with suppress(trio.WouldBlock):
                self._outbox.send_nowait(Append(event))
                return
        self._late += 1
        self._send.send_nowait(Append(event))

    def close(self) -> None:
        """Nothing more is told: `run` returns when nothing is late."""
        self._send.close()

    async def run(self) -> None:
        async for append in self._receive:
            await self._outbox.send(append)
            self._late -= 1
