"""All workers of a fleet: starts attempts on command, passes stops on, tells each end."""

from contextlib import suppress
from dataclasses import dataclass

import msgspec
import trio

from actors.orders import Answer, Ask, Decision, EndFleet, FleetEmpty, Order, StartWorker, StopWorker, WorkerEnded
from actors.spawn_request import Surroundings
from actors.worker import Worker
from protocols.ids import WorkerId
from protocols.keeper import Finished, Shutdown

__all__ = ["Roster"]


@dataclass(slots=True)
class _Slot:
    order: StartWorker
    commands: trio.MemorySendChannel[StopWorker]
    """Holds one: what a worker has not taken yet gives way to a more urgent one."""
    inbox: trio.MemoryReceiveChannel[StopWorker]
    """The worker's end of it."""
    grace: float = float("inf")
    """Of the last stop that was passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Run workers until nobody can order any more and the last of them is gone."""

    inbox: trio.MemoryReceiveChannel[Order]
    outbox: trio.MemorySendChannel[Decision]
    around: Surroundings

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        slots: dict[WorkerId, _Slot] = {}
        async with self.outbox.clone() as outbox, trio.open_nursery() as nursery:
            task_status.started()
            async for order in self.inbox:
                match order:
                    case StartWorker():
                        slot = _Slot(order, *trio.open_memory_channel[StopWorker](1))
                        slots[WorkerId(order.task.id)] = slot
                        nursery.start_soon(self._host, slot, slots, outbox)
                    case StopWorker():
                        _stop(slots.get(order.worker), order)
                    case EndFleet():
                        await outbox.send(await self._end())
            for worker, slot in slots.items():  # nobody commands us any more: in order, none are left
                _stop(slot, StopWorker(worker, slot.order.task.grace, "stop"))

    async def _host(self, slot: _Slot, slots: dict[WorkerId, _Slot], outbox: trio.MemorySendChannel[Decision]) -> None:
        with slot.commands, slot.inbox:
            exited = await Worker(order=slot.order, around=self.around, commands=slot.inbox).run()
        del slots[exited.worker]
        with suppress(trio.BrokenResourceError):  # who decides has failed: the others come to their end all the same
            await outbox.send(WorkerEnded(exited))

    async def _end(self) -> FleetEmpty:
        send, receive = trio.open_memory_channel[Answer](1)
        with send, receive:
            await self.around.sources.keeper.send(Ask(Shutdown(), send))
            answer = await receive.receive()
        return FleetEmpty(() if answer.error else msgspec.json.decode(answer.ok, type=Finished).ended)


def _stop(slot: _Slot | None, order: StopWorker) -> None:
    """A worker that has just ended needs no stop."""
    if slot is not None and order.grace < slot.grace:
        slot.grace = order.grace
        with suppress(trio.WouldBlock):
            slot.inbox.receive_nowait()
        slot.commands.send_nowait(order)
