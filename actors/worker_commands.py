"""What somebody outside wants of the workers of a fleet themselves: to send them something, or to reply to them."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import trio

from actors.asking import ask_worker
from actors.command_queue import Enqueue
from actors.commander import RefusedError
from actors.orders import Order
from actors.orders import ReplyPermission as ReplyOrder
from actors.picture import Picture
from protocols.commands import Done, ReplyPermission, SendToWorker, TypeInput
from protocols.errors import QueueError
from protocols.ids import CommandId, TaskId, WorkerId
from protocols.ledger import OVER
from protocols.queued import NewCommand, Queued, SendKeys
from protocols.states import RunView, TaskView
from protocols.wording import did_you_mean, quote

__all__ = ["WorkerCommands"]

_SERVER = 25.0  # seconds; that of a session may have much to do
_PATIENCE = 30.0  # for the disk, and for who is written to; then it is looked up, not lost


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCommands:
    """The part of a `Commander` for them. Tasks are named as this fleet knows them."""

    picture: Picture
    orders: trio.MemorySendChannel[Order]
    queue: trio.MemorySendChannel[Enqueue]
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex

    async def carry_out(self, command: SendToWorker | TypeInput | ReplyPermission, *, by: str = "") -> Done:
        """``by``: who asks. Raise `RefusedError`."""
        match command:
            case SendToWorker():
                return await self._send(command, by)
            case TypeInput(task=name, data=data):
                number = _running(self.find(name))
                keys = SendToWorker(task=name, action=SendKeys(data=data), attempt=number, until="written")
                return await self._send(keys, by)
            case ReplyPermission():
                return await self._reply(command)

    def find(self, name: str) -> TaskView:
        view = self.picture.view
        task = view.tasks.get(TaskId(name))
        if task is None:
            guess = did_you_mean(name, view.tasks) or "; see: callboard status"
            raise RefusedError(f"task {quote(name)}: there is none in this run{guess}")
        return task

    async def _send(self, command: SendToWorker, by: str) -> Done:
        task = self.find(command.task)
        if task.status in OVER and command.id is None:
            raise RefusedError(f"task {quote(command.task)}: it does not run now, it is {task.status}")
        new = NewCommand(
            id=command.id or CommandId(self.new_id()),
            task=task.id,
            action=command.action,
            attempt=command.attempt,
            expires=command.expires,
            by=by,
        )
        row = await self._enqueue(new, command)
        if command.until == "written" and row.state in {"failed", "expired"}:
            why = row.reason or "there was no time in which it could be written"
            raise RefusedError(f"task {quote(command.task)}: {why}")
        return Done(task=task.id, attempt=row.attempt, command=row.id, state=row.state, seq=self.picture.view.last_seq)

    async def _enqueue(self, new: NewCommand, command: SendToWorker) -> Queued:
        send, receive = trio.open_memory_channel[Queued | QueueError](1)
        patience = _PATIENCE + (command.expires if command.until == "written" else 0.0)
        with send, receive, trio.move_on_after(patience):
            try:
                await self.queue.send(Enqueue(new, send, command.until))
            except trio.BrokenResourceError as error:
                raise RefusedError("the run is ending and takes no more commands") from error
            row = await receive.receive()
            if isinstance(row, QueueError):
                raise RefusedError(str(row)) from row
            return row
        raise RefusedError(f"no answer within {patience:g} s; what became of it is told as command {new.id}")

    async def _reply(self, command: ReplyPermission) -> Done:
        """Returned when the journal has the reply."""
        task = self.find(command.task)
        number = _running(task)
        answer = await ask_worker(
            self.orders,
            lambda send: ReplyOrder(
                WorkerId(task.id), number, command.permission, command.reply, command.message, send
            ),
            _SERVER,
        )
        if answer.error is not None:
            raise RefusedError(f"task {quote(command.task)}: {answer.error}")
        return await self.picture.wait_until(lambda view: _replied(view, task.id, number, command.permission))


def _running(task: TaskView) -> int:
    """The attempt. Raise `RefusedError`."""
    attempt = task.attempts[-1] if task.attempts else None
    if attempt is None or attempt.started is None or attempt.exited is not None:
        raise RefusedError(f"task {quote(task.id)}: it does not run now, it is {task.status}")
    return attempt.number


def _replied(view: RunView, name: TaskId, number: int, permission: str) -> Done | None:
    attempt = view.tasks[name].attempt(number)
    waits = attempt is not None and attempt.session is not None and permission in attempt.session.permissions
    if waits and attempt is not None and attempt.exited is None:
        return None
    return Done(task=name, attempt=number, seq=view.last_seq)
