"""Carries out the commands that one fleet gets from outside: checked here, decided by the orchestrator."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import trio

from actors.commander import RefusedError
from actors.control_input import Inputs
from actors.journal_file import last_seq
from actors.leaving import Leaving
from actors.orders import AddTasks, BeginAgain, Decision, EndTask, RetryOnce, StopRun, Wish
from actors.passing_on import pass_on
from actors.picture import Picture
from actors.reaching import Reaching
from protocols.commands import (
    CancelTask,
    Command,
    Done,
    ReplyPermission,
    ResizeTerminal,
    RestartTask,
    RetryTask,
    SendToWorker,
    ShutDown,
    SignalWorker,
    SpawnWorker,
    StopTask,
    SubmitRun,
    TaskCommand,
    TypeInput,
)
from protocols.errors import FleetError
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.ledger import OVER
from protocols.plan import Task
from protocols.states import RunView, TaskView
from protocols.wording import did_you_mean, quote

__all__ = ["Admission", "FleetCommander"]

_ENDING = "the run is ending and takes no more commands"
_DECIDED = 60.0  # seconds; it takes milliseconds, unless the disk is full
_NO_TASKS = "this run has its tasks from its plan and takes no others; `callboard up` takes some"


class Admission(Protocol):
    """Takes tasks in that a plan does not have. Blocks; one call at a time."""

    def admit(self, command: SpawnWorker | SubmitRun) -> Task:
        """The task, looked up and kept on disk, so that it is there again after any crash. Raise `FleetError`."""

    def drop(self, task: TaskId) -> None:
        """It is not taken in after all."""

    def recall(self, task: TaskId) -> Task:
        """One that was admitted, be it by an earlier supervisor. Raise `FleetError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCommander:
    """A `Commander`. What it returns is in the journal."""

    folder: FleetFolder
    picture: Picture
    decisions: trio.MemorySendChannel[Decision]
    inputs: Inputs
    reaching: Reaching
    leaving: Leaving | None = None
    """None: its workers are not durable."""
    admission: Admission | None = None
    """None: the plan is not standing."""
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))
    _turn: trio.Lock = field(default_factory=trio.Lock)

    async def carry_out(self, command: Command, *, pid: int = 0) -> Done:
        """See `Commander`."""
        self.inputs.check_command(pid)
        if isinstance(command, SendToWorker | TypeInput | ReplyPermission):
            self.inputs.check_person(pid)
        if isinstance(command, TaskCommand) and "/" in command.task:
            return await self._pass_on(command)
        match command:
            case SpawnWorker() | SubmitRun():
                return await self._spawn(command)
            case StopTask() | CancelTask():
                grace = command.grace if isinstance(command, StopTask) else None
                return await self._end(command.task, grace, command.reason)
            case RestartTask() | RetryTask():
                return await self._begin_again(command)
            case SignalWorker() | ResizeTerminal():
                return await self.reaching.carry_out(self._find(command.task), command)
            case ShutDown():
                return await self._shut_down(command)
            case SendToWorker() | TypeInput() | ReplyPermission():
                return await self.inputs.workers.carry_out(command, by=f"process {pid}" if pid else "")
            case _:
                raise RefusedError(f"this fleet cannot do that: {type(command).__name__}")

    async def _pass_on(self, command: TaskCommand) -> Done:
        """To the instance that it is for; the answer is that one's, and what it tells is here too."""
        name, _, rest = command.task.partition("/")
        instance = self._find(name)
        link = self.picture.view.links.get(instance.id)
        if link is not None and instance.status in OVER:
            raise RefusedError(f"task {quote(name)}: it is over, it is {instance.status}, and takes no more commands")
        if link is None:
            raise RefusedError(f"task {quote(name)}: it is no instance that has begun, so nothing is below it")
        task, run = TaskId(name), link.run
        path = self.folder.instance(task).run(run).control_socket
        done = await pass_on(path, name, msgspec.structs.replace(command, task=rest))

        def has_come(view: RunView) -> Done | None:
            now = view.links.get(task)
            if now is not None and now.run == run and now.last < done.seq:
                return None
            return Done(task=f"{name}/{done.task}", attempt=done.attempt, seq=view.last_seq)

        return await self.picture.wait_until(has_come)

    async def _spawn(self, command: SpawnWorker | SubmitRun) -> Done:
        """A caller that goes away leaves it wholly there or not at all."""
        if self.admission is None:
            raise RefusedError(_NO_TASKS)
        async with self._turn:
            with trio.move_on_after(_DECIDED, shield=True) as scope:
                task = await self._take_in(self.admission, command)
        if scope.cancelled_caught:
            raise RefusedError(f"not decided within {_DECIDED:g} s, so it may still come; see: callboard status")
        return await self.picture.wait_until(lambda view: _told(view, task.id))

    async def _take_in(self, admission: Admission, command: SpawnWorker | SubmitRun) -> Task:
        try:
            task = await trio.to_thread.run_sync(admission.admit, command, limiter=self._limiter)
        except FleetError as error:
            raise RefusedError(str(error)) from error
        try:
            await self._wish(lambda answer: AddTasks((task,), answer, command.key or ""))
        except RefusedError:
            await trio.to_thread.run_sync(admission.drop, task.id, limiter=self._limiter)
            raise
        return task

    async def _end(self, name: str, grace: float | None, reason: str) -> Done:
        task = self._find(name)
        if task.status in OVER:
            raise RefusedError(f"task {quote(name)}: it is over already, it is {task.status}")
        await self._wish(lambda answer: EndTask(task.id, grace, reason, answer))
        return await self.picture.wait_until(lambda view: _over(view, task.id))

    async def _begin_again(self, command: RestartTask | RetryTask) -> Done:
        """A restart is there with its next attempt, a retry once the task waits for its own."""
        task = self._find(command.task)
        plan = await self._recall(task) if task.status in OVER else None
        before, seq = len(task.attempts), task.changed_seq
        if isinstance(command, RetryTask):
            await self._wish(lambda answer: RetryOnce(task.id, plan, answer))
            return await self.picture.wait_until(lambda view: _changed(view, task.id, seq))
        await self._wish(lambda answer: BeginAgain(task.id, command.grace, plan, answer))
        return await self.picture.wait_until(lambda view: _begun(view, task.id, before, seq))

    async def _recall(self, task: TaskView) -> Task | None:
        """What it is, where the plan does not have it."""
        if self.admission is None:
            return None
        try:
            return await trio.to_thread.run_sync(self.admission.recall, task.id, limiter=self._limiter)
        except FleetError as error:
            raise RefusedError(str(error)) from error

    async def _shut_down(self, command: ShutDown) -> Done:
        if command.workers == "leave":
            return await self._leave(command)
        if command.restart:
            raise RefusedError('restart: goes with workers = "leave" only')
        before = self.picture.view.stopping
        await self._send(StopRun(command.reason, command.grace))
        return await self.picture.wait_until(
            lambda view: Done(seq=view.last_seq) if view.stopping is not before else None
        )

    async def _leave(self, command: ShutDown) -> Done:
        if self.leaving is None:
            raise RefusedError("its workers are not durable and would end with it; stop them, or leave it running")
        if command.restart and not self.leaving.restarts:
            raise RefusedError("a run of a plan does not start anew; leave it, and go on with: callboard resume")
        if self.picture.view.stopping is not None:
            raise RefusedError(_ENDING)
        await self.leaving.tell(command)
        return Done(seq=await trio.to_thread.run_sync(last_seq, self.folder.journal, limiter=self._limiter))

    async def _wish(self, make: Callable[[trio.MemorySendChannel[str]], Wish]) -> None:
        """Raise `RefusedError` where it is not granted."""
        send, receive = trio.open_memory_channel[str](1)
        with send, receive:
            await self._send(make(send))
            if why := await receive.receive():
                raise RefusedError(why)

    async def _send(self, decision: Decision) -> None:
        try:
            await self.decisions.send(decision)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise RefusedError(_ENDING) from error

    def _find(self, name: str) -> TaskView:
        view = self.picture.view
        task = view.tasks.get(TaskId(name))
        if task is None:
            guess = did_you_mean(name, view.tasks) or "; see: callboard status"
            raise RefusedError(f"task {quote(name)}: there is none in this run{guess}")
        return task


def _told(view: RunView, task: TaskId) -> Done | None:
    return Done(task=task, seq=view.last_seq) if task in view.tasks else None


def _over(view: RunView, task: TaskId) -> Done | None:
    found = view.tasks.get(task)
    if found is None or found.status not in OVER:
        return None
    return Done(task=task, attempt=len(found.attempts), seq=view.last_seq)


def _changed(view: RunView, task: TaskId, behind: int) -> Done | None:
    found = view.tasks.get(task)
    if found is None or found.changed_seq <= behind:
        return None
    return Done(task=task, attempt=len(found.attempts), seq=view.last_seq)


def _begun(view: RunView, task: TaskId, before: int, behind: int) -> Done | None:
    """Or it is over anew, where the run was stopped meanwhile."""
    found = view.tasks.get(task)
    if found is None:
        return None
    if len(found.attempts) <= before and (found.status not in OVER or found.changed_seq <= behind):
        return None
    return Done(task=task, attempt=len(found.attempts), seq=view.last_seq)
