"""A supervisor that leaves its run as it is: told first, then done."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from actors.messages import Append
from protocols.commands import ShutDown
from protocols.fleet_events import SupervisorLeft

__all__ = ["Leaving"]

_ANSWERED = 0.2  # for the answer to who wanted it; one that gets none asks again, and is told then


@dataclass(slots=True, eq=False, kw_only=True)
class Leaving:
    """Of one run. All of its workers must be durable: a keeper looks after them until somebody takes the run up."""

    outbox: trio.MemorySendChannel[Append]
    restarts: bool
    """Whether it can start anew: its command line would go on with this run."""
    now: Callable[[], float] = time.time
    _told: list[SupervisorLeft] = field(default_factory=list)
    _asked: trio.Event = field(default_factory=trio.Event)

    @property
    def restarting(self) -> bool:
        """Clients are to wait for it."""
        return bool(self._told) and self._told[0].restart

    async def tell(self, command: ShutDown) -> None:
        """Return when it is in the journal, with all that was said before. From then on it is as good as done."""
        committed = trio.Event()
        event = SupervisorLeft(at=self.now(), reason=command.reason, restart=command.restart)
        await self.outbox.send(Append(event, committed))
        await committed.wait()
        self._told.append(event)
        self._asked.set()

    async def wait(self) -> SupervisorLeft:
        """Return what was told first when it is time to leave."""
        await self._asked.wait()
        await trio.sleep(_ANSWERED)
        return self._told[0]
