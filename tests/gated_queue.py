"""The command queue of a fleet as a program that kills itself at a step: python -m tests.gated_queue FOLDER STEP.

Around it all is real (journal, hub, picture, the queue's file) but for the worker: what is written to it is a line in
the file ``arrived``. Step 0 is never reached: then it ends when the command is over, and prints how many there were.
"""

import math
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from actors.command_file import read_command
from actors.command_queue import CommandQueue, Enqueue
from actors.commander import RefusedError
from actors.delivery import Delivery
from actors.hub import Hub
from actors.journal import Journal
from actors.journal_file import open_journal
from actors.messages import Append, Subscribe
from actors.orders import Answer, AskUnread, Order, SendInput
from actors.picture import Picture
from actors.proofs import Proofs
from actors.verb_file import VerbFile
from protocols.adoption_events import WorkerAdopted
from protocols.command_rules import Rules
from protocols.commands import Command, Done
from protocols.errors import QueueError
from protocols.events import AttemptStarting, Event, Record, RunResumed, RunStarted, WorkerStarted
from protocols.ids import AttemptId, CommandId, RunId, TaskId, WorkerId
from protocols.keeper_inputs import Waiting, Written
from protocols.layout import FleetFolder
from protocols.queued import NewCommand, Queued, SendText

__all__ = ["COMMAND"]

COMMAND = NewCommand(id=CommandId("c"), task=TaskId("a"), action=SendText(text="go"), expires=600.0)
W = WorkerId("a")

T = TypeVar("T")


class Steps:
    def __init__(self, last: int) -> None:
        self.count, self._last = 0, last

    def __call__(self) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


class Nobody:
    async def carry_out(self, command: Command, *, pid: int = 0) -> Done:
        raise RefusedError("nobody is here")


def begin(folder: FleetFolder) -> None:
    """A worker runs, or runs on."""
    again = folder.journal.exists()
    events: list[Event] = [
        RunStarted(at=1.0, run=RunId("r"), plan="p", tasks=(TaskId("a"),), pid=1, version="1"),
        AttemptStarting(at=2.0, worker=W, attempt=1, id=AttemptId("x"), argv=("cat",), cwd="/"),
        WorkerStarted(at=3.0, worker=W, attempt=1, pid=5, start_ticks=1, boot_id="b", pid_namespace=1),
    ]
    if again:
        events = [
            RunResumed(at=4.0, epoch=2, pid=1, version="1"),
            WorkerAdopted(at=5.0, worker=W, attempt=1, epoch=2, pid=5),
        ]
    with closing(open_journal(folder.journal)) as journal:
        journal.append(events)


async def serve_worker(orders: trio.MemoryReceiveChannel[Order], arrived: Path, step: Steps) -> None:
    async for order in orders:
        match order:
            case SendInput():
                step()
                with arrived.open("ab") as file:
                    file.write(order.data)
                step()
                order.answer.send_nowait(Answer(msgspec.json.encode(Written(len(order.data)))))
            case AskUnread():
                order.answer.send_nowait(Answer(msgspec.json.encode(Waiting(0))))
            case _:
                raise AssertionError(order)


async def main(folder: FleetFolder, step: Steps) -> None:
    records, to_hub = trio.open_memory_channel[Record](100)
    subscribe, to_admit = trio.open_memory_channel[Subscribe](4)
    events, to_journal = trio.open_memory_channel[Append](100)
    orders, to_worker = trio.open_memory_channel[Order](8)
    enqueues, to_queue = trio.open_memory_channel[Enqueue](8)
    picture = Picture(journal=folder.journal, subscribe=subscribe)
    queue = CommandQueue(
        path=folder.commands,
        inbox=to_queue,
        outbox=events,
        picture=picture,
        delivery=Delivery(orders=orders, commander=Nobody()),
        proofs=Proofs(folder=folder, orders=orders, picture=picture),
    )
    async with trio.open_nursery() as outer:
        await outer.start(Hub(inbox=to_hub, requests=to_admit).run)
        await outer.start(Journal(path=folder.journal, inbox=to_journal, outbox=records).run)
        async with trio.open_nursery() as nursery:
            await nursery.start(picture.run)
            nursery.start_soon(serve_worker, to_worker, folder.root / "arrived", step)
            async with trio.open_nursery() as queueing:
                await queueing.start(queue.run)
                await send(enqueues)
                while (row := read_command(folder.commands, COMMAND.id)) is None or not row.is_over:
                    await picture.wait_for(picture.view.last_seq + 1)
                enqueues.close()
            nursery.cancel_scope.cancel(reason="the command is over")
        for channel in (events, records, subscribe):
            channel.close()


async def send(enqueues: trio.MemorySendChannel[Enqueue]) -> None:
    answer, answered = trio.open_memory_channel[Queued | QueueError](1)
    await enqueues.send(Enqueue(COMMAND, answer, "written"))
    await answered.receive()


def gate(step: Steps) -> None:
    """In front of each verb of the queue's file is a step."""
    real = VerbFile.do

    def do(self: VerbFile[Rules], verb: Callable[[Rules], T]) -> T:
        step()
        return real(self, verb)

    VerbFile.do = do  # type: ignore[method-assign, assignment] # in this process alone


if __name__ == "__main__":
    place, steps = FleetFolder(Path(sys.argv[1])), Steps(int(sys.argv[2]) or -math.inf)  # type: ignore[arg-type]
    begin(place)
    gate(steps)
    trio.run(main, place, steps)
    print(steps.count)
