"""Keeps the time of workers beside their keepers: warns before a timeout, ends who says nothing, excepts waiting."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import trio

from actors.keyboard import Manner, manner_of, tell
from actors.messages import Append
from actors.orders import ExtendWorker, Order, StopWorker
from protocols.deadlines import Deadline, Due, Expire, Extend, Terms, Warn
from protocols.events import WorkerWarned
from protocols.fan_out import group_of
from protocols.ids import WorkerId
from protocols.plan import Task
from protocols.pulse import Pulse

__all__ = ["DeadlineCare", "Deadlines"]


class DeadlineCare(msgspec.Struct, frozen=True):
    """Of one task."""

    terms: Terms
    timeout: float | None
    grace: float
    manner: Manner

    @classmethod
    def of(cls, task: Task) -> "DeadlineCare | None":
        """None where there is nothing to do."""
        if task.terms == Terms():
            return None
        return cls(task.terms, task.timeout, task.grace, manner_of(task))


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """One for all workers of a run."""

    cares: Mapping[WorkerId, DeadlineCare]
    """Of the tasks of the plan that have some."""
    orders: trio.MemorySendChannel[Order]
    now: Callable[[], float] = time.time
    _deadlines: dict[WorkerId, Deadline] = field(default_factory=dict, init=False)

    def choose(self, pulse: Pulse, moment: float) -> list[Due]:
        """What is due now, on the clock of the looks. To be called once after each verdict."""
        care = self._care(pulse.worker)
        if care is None:
            return []
        deadline = self._deadlines.get(pulse.worker)
        if deadline is None or deadline.attempt != pulse.attempt:
            deadline = self._deadlines[pulse.worker] = Deadline(pulse.attempt, care.terms, care.timeout)
        return deadline.look(pulse, moment)

    async def do(self, worker: WorkerId, attempt: int, due: Due, outbox: trio.MemorySendChannel[Append]) -> None:
        care = self._care(worker)
        if care is None:
            return
        with suppress(trio.BrokenResourceError):  # the run is ending
            match due:
                case Warn():
                    await self._warn(worker, attempt, due, care, outbox)
                case Expire(detail=detail):
                    await self.orders.send(StopWorker(worker, care.grace, "quiet", detail, attempt))
                case Extend(left=left):
                    await self.orders.send(ExtendWorker(worker, attempt, left))

    def _care(self, worker: WorkerId) -> DeadlineCare | None:
        made = group_of(worker)
        return self.cares.get(worker if made is None else WorkerId(made[0]))

    async def _warn(
        self, worker: WorkerId, attempt: int, warn: Warn, care: DeadlineCare, outbox: trio.MemorySendChannel[Append]
    ) -> None:
        """Recorded before it is said, so that nobody says it twice; and again where it did not arrive."""
        warned = WorkerWarned(at=self.now(), worker=worker, attempt=attempt, left=warn.left, text=warn.text)
        committed = trio.Event()
        await outbox.send(Append(warned, committed))
        await committed.wait()
        failed = await tell(self.orders, worker, attempt, warn.text, care.manner)
        if failed:
            await outbox.send(Append(msgspec.structs.replace(warned, at=self.now(), failed=failed)))
