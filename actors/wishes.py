"""What somebody outside wants of the tasks of a run, in its course: more of them, the end of one, one more attempt."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from actors.course import Course
from actors.orders import AddTasks, BeginAgain, EndTask, Order, RetryOnce, StopWorker, Wish
from protocols.fan_out import group_of
from protocols.ids import TaskId, WorkerId
from protocols.ledger import OVER, Ledger
from protocols.plan_entries import make_entries
from protocols.task_events import RunRetried, TasksSubmitted
from protocols.wording import quote

__all__ = ["Wishes"]

_ENDING = "the run is ending and takes no more commands"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Grants them or not. What needs the ledger is put off until `grant`; the rest comes through at once."""

    ledger: Ledger
    roster: trio.MemorySendChannel[Order]
    now: Callable[[], float]
    standing: bool
    """Whether there may be more tasks."""

    async def hear(self, course: Course, wish: Wish) -> None:
        if course.closed or course.stop is not None:
            return _answer(wish, _ENDING)
        match wish:
            case EndTask() | BeginAgain() if wish.task in course.running or course.is_judged_next(wish.task):
                await self._end_worker(course, wish)
            case _:
                course.wishes.append(wish)
        return None

    async def grant(self, course: Course) -> None:
        """Those that were put off."""
        wishes, course.wishes = course.wishes, []
        for wish in wishes:
            if course.stop is not None:
                _answer(wish, _ENDING)
            elif isinstance(wish, AddTasks):
                _answer(wish, await self._add(course, wish))
            elif isinstance(wish, RetryOnce):
                _answer(wish, await self._retry(course, wish))
            elif wish.task in course.running or course.is_judged_next(wish.task):  # it has begun meanwhile
                await self._end_worker(course, wish)
            elif isinstance(wish, EndTask):
                _answer(wish, await self._cancel(course, wish))
            else:
                _answer(wish, await self._reopen(course, wish))

    def close(self, course: Course) -> None:
        """Nothing is granted any more."""
        course.closed = True
        for wish in course.wishes:
            _answer(wish, _ENDING)
        course.wishes.clear()

    async def _end_worker(self, course: Course, wish: EndTask | BeginAgain) -> None:
        task = course.tasks[wish.task]
        grace = task.grace if wish.grace is None else wish.grace
        if isinstance(wish, EndTask):
            course.again.discard(task.id)
            course.unwanted.add(task.id)
            reason = wish.reason
        else:
            course.again.add(task.id)
            reason = "restarted by a client"
        if task.id in course.running:
            await self.roster.send(StopWorker(WorkerId(task.id), grace, "stop", reason))
        _answer(wish, "")

    async def _add(self, course: Course, wish: AddTasks) -> str:
        tasks = wish.tasks
        if not self.standing:
            return "this run has its tasks from its plan and takes no others; `callboard up` takes some"
        for task in tasks:
            if task.id in course.statuses:
                return f"task {quote(task.id)}: there is one with this id already; choose another one"
        event = TasksSubmitted(
            at=self.now(),
            tasks=tuple(task.id for task in tasks),
            roles={task.id: task.role for task in tasks if task.role is not None},
            timeouts={task.id: task.timeout for task in tasks if task.timeout is not None},
            givers=tuple(task.id for task in tasks if task.output is not None),
            key=wish.key,
        )
        entries = make_entries(tasks, {}, (), behind=len(course.statuses))
        course.take_in(tasks)
        course.tell(await self.ledger.submit(entries, tell=[event]))
        return ""

    async def _cancel(self, course: Course, wish: EndTask) -> str:
        status = course.statuses.get(wish.task)
        if status is None or status in OVER:
            return f"task {quote(wish.task)}: {_stands(course, wish.task)}"
        course.kept.discard(wish.task)
        course.tell(await self.ledger.cancel([wish.task], wish.reason))
        return ""

    async def _retry(self, course: Course, wish: RetryOnce) -> str:
        status = course.statuses.get(wish.task)
        if status not in OVER or status == "succeeded":
            return f"task {quote(wish.task)}: {_stands(course, wish.task)}"
        if status == "skipped":
            return f"task {quote(wish.task)}: it was skipped; retry what it needs"
        return await self._reopen(course, wish)

    async def _reopen(self, course: Course, wish: RetryOnce | BeginAgain) -> str:
        """Its counts begin anew, but for the number of its attempts."""
        name, status = wish.task, course.statuses.get(wish.task)
        if status not in OVER and status not in {"retrying", "restarting"}:
            return f"task {quote(name)}: it has not begun, {_stands(course, name)}"
        if wish.plan is not None and name not in course.tasks:
            course.tasks[name] = wish.plan
        if group_of(name) is not None or course.tasks[name].for_each is not None:
            return f"task {quote(name)}: it belongs to a fan-out; once the run has ended: callboard retry"
        course.reopen(course.tasks[name])
        changed = await self.ledger.reopen(name)
        for told in changed.told:
            if isinstance(told.event, RunRetried):
                course.statuses |= dict.fromkeys(told.event.tasks, "pending")
        course.tell(changed)
        return ""


def _stands(course: Course, task: TaskId) -> str:
    status = course.statuses.get(task)
    return "there is none in this run" if status is None else f"it is {status}"


def _answer(wish: Wish, why: str) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.WouldBlock):  # who asked waits no longer
        wish.answer.send_nowait(why)
