"""All workers of a fleet: starts attempts on command, passes stops on, tells each end."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import trio

from actors.attempt_output import AttemptOutput
from actors.orders import (
    AddPrompt,
    Answer,
    Ask,
    AskUnread,
    Decision,
    EndFleet,
    ExtendWorker,
    FleetEmpty,
    InterruptWorker,
    Order,
    ReachWorker,
    ReplyPermission,
    ResizeWorker,
    SendInput,
    SendSignal,
    StartWorker,
    StopWorker,
    WorkerEnded,
)
from actors.preparation import Prepared, prepare
from actors.replies import reply
from actors.spawn_request import Surroundings
from actors.worker import Worker
from protocols.errors import SpawnError
from protocols.ids import AttemptId, WorkerId
from protocols.keeper import Extend, Finished, Request, Resize, Shutdown
from protocols.keeper_codec import to_os
from protocols.keeper_inputs import Interrupt, Permit, Prompt, Signal, Unread, Write
from protocols.layout import streams_of
from protocols.plan import Task
from protocols.redacted_events import redact_exit

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
                    case ExtendWorker():
                        await self._extend(slots.get(order.worker), order)
                    case (
                        SendInput()
                        | AskUnread()
                        | InterruptWorker()
                        | SendSignal()
                        | ResizeWorker()
                        | ReplyPermission()
                        | AddPrompt()
                    ):
                        self._reach(slots.get(order.worker), order)
                    case EndFleet():
                        await outbox.send(await self._end())
            for worker, slot in slots.items():  # nobody commands us any more: in order, none are left
                _stop(slot, StopWorker(worker, slot.order.task.grace, "stop"))

    def _reach(self, slot: _Slot | None, order: ReachWorker) -> None:
        """Pass it on, where that is possible without waiting."""
        if slot is None or order.attempt not in (None, slot.order.attempt):
            return _refuse(order, "does not run", "ESRCH")
        if why := _unreachable(order, slot.order.task):
            return _refuse(order, why, "EBADF")
        try:
            self.around.sources.of(slot.order.task).send_nowait(Ask(_request(order, slot.order.id), order.answer))
        except trio.WouldBlock:
            _refuse(order, "cannot be reached now, there is too much to do; try again", "EAGAIN")

    async def _extend(self, slot: _Slot | None, order: ExtendWorker) -> None:
        if slot is not None and order.attempt == slot.order.attempt:
            request = Extend(attempt=slot.order.id, left=order.left)
            await self.around.sources.of(slot.order.task).send(Ask(request))

    async def _host(self, slot: _Slot, slots: dict[WorkerId, _Slot], outbox: trio.MemorySendChannel[Decision]) -> None:
        with slot.commands, slot.inbox:
            prepared = await self._prepare(slot)
            output = AttemptOutput(order=prepared.order, around=self.around, stopped=partial(_is_stopped, slot))
            await output.prepare()
            worker = Worker(
                order=prepared.order,
                around=self.around,
                commands=slot.inbox,
                prompts=prepared.prompts,
                refusal=prepared.problem,
                again=prepared.again,
                accept=output.take,
            )
            exited = await worker.run()
            if self.around.workspaces is not None:
                await self.around.workspaces.ended(slot.order.task, exited)
        del slots[exited.worker]
        with suppress(trio.BrokenResourceError):  # who decides has failed: the others come to their end all the same
            await outbox.send(WorkerEnded(redact_exit(exited, self.around.redactor), output.found))

    async def _prepare(self, slot: _Slot) -> Prepared:
        """With its workspace, unless a stop comes first: then the worker finds that."""
        prepared, spaces = await prepare(slot.order, self.around), self.around.workspaces
        task = prepared.order.task
        if spaces is None or task.workspace.kind == "shared" or prepared.problem or slot.order.open is not None:
            return prepared
        problem = ""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_give_way, slot, nursery.cancel_scope)
            problem = await spaces.make(task)
            nursery.cancel_scope.cancel(reason="its workspace is there, or cannot be made")
        return replace(prepared, problem=problem, again=True)

    async def _end(self) -> FleetEmpty:
        if self.around.workspaces is not None:
            await self.around.workspaces.close()
        send, receive = trio.open_memory_channel[Answer](1)
        with send, receive:
            await self.around.sources.keeper.send(Ask(Shutdown(), send))
            answer = await receive.receive()
        return FleetEmpty(() if answer.error else msgspec.json.decode(answer.ok, type=Finished).ended)


def _unreachable(order: ReachWorker, task: Task) -> str:
    """Why a worker of this kind can never be reached so; empty where it can."""
    match order:
        case ReplyPermission() | AddPrompt() if task.prompting is None:
            return "is no session on an agent server"
        case SendSignal() | ResizeWorker() if task.prompting is not None:
            return "is a session on an agent server, and has no process and no terminal of its own"
        case SendSignal() | ResizeWorker() if task.tmux is not None:
            return "is in a tmux of somebody else, who alone may do that there"
        case SendSignal() if not task.command:
            return "has no process: a file is followed"
        case ResizeWorker() if "terminal" not in streams_of(task.source):
            return "has no terminal"
        case _:
            return ""


def _request(order: ReachWorker, attempt: AttemptId) -> Request:
    match order:
        case SendInput():
            return Write(attempt=attempt, data=to_os(order.data), note=order.note)
        case AskUnread():
            return Unread(attempt=attempt)
        case InterruptWorker():
            return Interrupt(attempt=attempt)
        case SendSignal(number=number):
            return Signal(attempt=attempt, number=number)
        case ResizeWorker(window=window):
            return Resize(attempt=attempt, window=window)
        case ReplyPermission():
            return Permit(attempt=attempt, permission=order.permission, reply=order.reply, message=order.message)
        case AddPrompt():
            return Prompt(attempt=attempt, command=order.command, text=order.text)


def _refuse(order: ReachWorker, why: str, code: str) -> None:
    reply(order.answer, Answer(error=SpawnError(f'worker "{order.worker}" {why}', code)))


async def _give_way(slot: _Slot, scope: trio.CancelScope) -> None:
    stop = await slot.inbox.receive()
    with suppress(trio.WouldBlock):  # there is a more urgent one already
        slot.commands.send_nowait(stop)
    scope.cancel(reason="it is to be stopped before its start")


def _is_stopped(slot: _Slot) -> bool:
    """Nobody has taken the last stop: the worker has ended, or begun to."""
    return slot.inbox.statistics().current_buffer_used > 0


def _stop(slot: _Slot | None, order: StopWorker) -> None:
    """A worker that has just ended needs no stop."""
    if slot is not None and order.attempt in (None, slot.order.attempt) and order.grace < slot.grace:
        slot.grace = order.grace
        with suppress(trio.WouldBlock):
            slot.inbox.receive_nowait()
        slot.commands.send_nowait(order)
