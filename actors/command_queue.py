"""The queue of commands for the workers of a fleet: kept on disk, written in order, each once at most."""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import trio

from actors.batches import receive_batch
from actors.command_file import CommandFile, open_commands
from actors.delivery import Delivery, Outcome, is_harmless
from actors.ledger import Patience
from actors.messages import Append
from actors.picture import Picture
from actors.proofs import Proofs
from protocols.attempt_view import AttemptView
from protocols.command_rules import Rules
from protocols.errors import QueueError
from protocols.ids import TaskId
from protocols.ledger import Told
from protocols.queued import NewCommand, Queued
from protocols.states import RunView

__all__ = ["CommandQueue", "Enqueue"]

T = TypeVar("T")
Until: TypeAlias = Literal["queued", "written"]


@dataclass(frozen=True, slots=True)
class Enqueue:
    """A command for the queue. ``answer`` (of one slot) gets the command when it is that far, and the journal tells so;
    or why it is not taken. Where it failed or expired, that is as far as it comes."""

    new: NewCommand
    answer: trio.MemorySendChannel[Queued | QueueError]
    until: Until = "queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandQueue:
    """Serve until nobody enqueues any more. Nothing is opened before the first command."""

    path: Path
    inbox: trio.MemoryReceiveChannel[Enqueue]
    outbox: trio.MemorySendChannel[Append]
    picture: Picture
    delivery: Delivery
    proofs: Proofs
    say: Callable[[str], None] = lambda text: None
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        first = [] if self.path.exists() else await receive_batch(self.inbox, 1)
        if not first and not self.path.exists():
            return
        disk = Patience(say=self.say, what="the queue of commands")
        async with self.outbox.clone() as outbox, self._open(disk) as file, trio.open_nursery() as nursery:
            desk = _Desk(file, disk, outbox, self.picture, self.delivery, self.proofs, nursery)
            await desk.recover()
            for work in (desk.tell, desk.write, desk.watch):
                nursery.start_soon(work)
            for request in first:
                await desk.enqueue(request)
            async for request in self.inbox:
                await desk.enqueue(request)
            await desk.close()
            nursery.cancel_scope.cancel(reason="nobody enqueues any more")

    @asynccontextmanager
    async def _open(self, disk: Patience) -> AsyncIterator[CommandFile]:
        file = await disk.wait(partial(open_commands, self.path, now=self.now, retry=True))
        with closing(file):
            yield file


@dataclass(slots=True)
class _Desk:
    """What one run of the queue knows besides its file."""

    file: CommandFile
    disk: Patience
    outbox: trio.MemorySendChannel[Append]
    picture: Picture
    delivery: Delivery
    proofs: Proofs
    nursery: trio.Nursery
    waiters: list[Enqueue] = field(default_factory=list)
    waiting: frozenset[TaskId] = frozenset()
    """Of whom commands are to be written."""
    news: trio.Event = field(default_factory=trio.Event)
    """Something may be to be written."""
    told: trio.Event = field(default_factory=trio.Event)
    """Something may be to be told."""
    telling: trio.Lock = field(default_factory=trio.Lock)

    async def recover(self) -> None:
        await self._do(lambda rules: rules.recover())
        for row in await self.disk.wait(lambda: self.file.do(lambda rules: rules.store.unsettled())):
            self.nursery.start_soon(self._prove, row)

    async def enqueue(self, request: Enqueue) -> None:
        try:
            await self._do(lambda rules: rules.enqueue(request.new))
        except QueueError as error:
            _answer(request, error)
        else:
            self.waiters.append(request)
            self.told.set()
            self.news.set()

    async def write(self) -> None:
        """Begin with each whose turn it is."""
        while True:
            self.news = trio.Event()
            running = self._running(self.picture.view.tasks)
            numbers = {name: attempt.number for name, attempt in running.items()}
            due = await self._do(partial(Rules.due, running=numbers, ended=self._has_ended))
            self.waiting = due.tasks
            for row in due.write:
                await self._begin(row, running[row.task])
            if self._running(due.tasks).keys() == running.keys() & due.tasks:
                with trio.move_on_after(due.wait):
                    await self.news.wait()

    async def watch(self) -> None:
        """A worker that began or ended changes what can be written."""
        seen: dict[TaskId, int] = {}
        while True:
            seq = self.picture.view.last_seq
            found = {name: attempt.number for name, attempt in self._running(self.waiting).items()}
            if found != seen:
                seen = found
                self.news.set()
            await self.picture.wait_for(seq + 1)

    async def tell(self) -> None:
        while True:
            self.told = trio.Event()
            await self.tell_once()
            await self.told.wait()

    async def tell_once(self) -> None:
        """The journal of what happened, then those who wait for it. The journal takes each event once."""
        async with self.telling:
            waiters, self.waiters = self.waiters, []
            box, rows = await self.disk.wait(lambda: self.file.do(partial(self._read, waiters)))
            committed = trio.Event()
            for told in box:
                last = told is box[-1]
                await self.outbox.send(Append(told.event, committed if last else None, (self.file.name, told.number)))
            if box:
                await committed.wait()
                await self.disk.wait(lambda: self.file.do(lambda _: self.file.store.trim(box[-1].number)))
            for request, row in zip(waiters, rows, strict=True):
                if row is not None and (request.until == "queued" or row.state != "queued"):
                    _answer(request, row)
                else:
                    self.waiters.append(request)

    async def close(self) -> None:
        """Nobody enqueues any more. Where the run has ended, nothing is written any more either."""
        if self.picture.view.ended_at is not None:
            await self._do(lambda rules: rules.close("the run has ended"))
        await self.tell_once()

    def _read(self, waiters: list[Enqueue], rules: Rules) -> tuple[list[Told], list[Queued | None]]:
        return self.file.store.outbox(), [rules.store.get(each.new.id) for each in waiters]

    def _running(self, names: Iterable[TaskId]) -> dict[TaskId, AttemptView]:
        """The attempts of these that this supervisor has."""
        view = self.picture.view
        tasks = (view.tasks[name] for name in names if name in view.tasks)
        return {task.id: task.attempts[-1] for task in tasks if task.attempts and _is_ours(task.attempts[-1], view)}

    def _has_ended(self, name: TaskId, number: int) -> bool:
        task = self.picture.view.tasks.get(name)
        attempt = None if task is None else task.attempt(number)
        return attempt is not None and attempt.exited is not None

    async def _begin(self, row: Queued, attempt: AttemptView) -> None:
        mark, harmless = self.proofs.mark(row.task, attempt), is_harmless(row, attempt)
        begun = await self._do(lambda rules: rules.begin(row.id, attempt.number, mark, harmless=harmless))
        if begun is not None:
            self.nursery.start_soon(self._deliver, begun, attempt)

    async def _deliver(self, row: Queued, attempt: AttemptView) -> None:
        outcome = await self.delivery.deliver(row, attempt)
        written = await self._do(lambda rules: _settle(rules, row, outcome))
        self.news.set()
        if written is not None and not written.is_over and written.state != "queued":
            await self._prove(written)

    async def _prove(self, row: Queued) -> None:
        if row.state == "written":
            proof = await self.proofs.accepted(row)
            match proof.state:
                case "open":
                    return
                case "failed":
                    await self._do(lambda rules: rules.failed(row.id, proof.why))
                    return
            await self._do(lambda rules: rules.accepted(row.id, proof.why))
        end = await self.proofs.done(row)
        if end.state == "failed":
            await self._do(lambda rules: rules.failed(row.id, end.why))
        else:
            await self._do(lambda rules: rules.done(row.id))

    async def _do(self, verb: Callable[[Rules], T]) -> T:
        result = await self.disk.wait(lambda: self.file.do(verb))
        self.told.set()
        return result


def _settle(rules: Rules, row: Queued, outcome: Outcome) -> Queued | None:
    """As one transaction: what it comes to."""
    match outcome.state:
        case "missed":
            return rules.missed(row.id, outcome.why)
        case "failed":
            return rules.failed(row.id, outcome.why)
    written = rules.written(row.id, outcome.mark)
    if outcome.why:
        written = rules.accepted(row.id, outcome.why) or written
    if outcome.done:
        written = rules.done(row.id) or written
    return written


def _is_ours(attempt: AttemptView, view: RunView) -> bool:
    return attempt.started is not None and attempt.exited is None and attempt.epoch == view.epoch


def _answer(request: Enqueue, answer: Queued | QueueError) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # who asked waits no longer
        request.answer.send_nowait(answer)
