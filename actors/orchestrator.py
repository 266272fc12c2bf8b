"""Runs a plan: starts each task the moment its last need is done, retries, skips, stops, concludes."""

import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from actors.course import Course, Ended
from actors.door import Door
from actors.fan_outs import FanOuts
from actors.judging import judge_end
from actors.messages import Append
from actors.orders import (
    AddTasks,
    BeginAgain,
    Decision,
    EndFleet,
    EndTask,
    FleetEmpty,
    Order,
    OverBudget,
    RetryOnce,
    StartWorker,
    StopRun,
    StopWorker,
    WorkerEnded,
)
from actors.teller import Teller
from actors.wishes import Wishes
from protocols.allowance import Allowance
from protocols.backoff import delay
from protocols.events import RunEnded, RunResumed, RunStarted, RunStopping
from protocols.fleet_events import FleetSwept
from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.kinds import Outcome
from protocols.ledger import OVER, Done, End, Grant, Ledger
from protocols.liveness_actions import Remedy
from protocols.plan import Plan
from protocols.plan_budgets import budgets_of
from protocols.plan_entries import make_entries, make_standings
from protocols.pressure import Limits
from protocols.resumption import Resumption

__all__ = ["Orchestrator"]

_NODE = "here"
_NOT_STARTED = "not started: the run was stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """Drive one plan through the roster, on the ledger alone: what that says is so, and who starts has its grant.

    What it knows besides is in its locals: it is not restarted, its failure ends the run.
    """

    run_id: RunId
    plan: Plan
    plan_path: str
    version: str
    pid: int
    ledger: Ledger
    fan_outs: FanOuts = field(default_factory=lambda: FanOuts(Path()))
    inbox: trio.MemoryReceiveChannel[Decision]
    resumption: Resumption | None = None
    """Where an earlier supervisor has left the run."""
    roster: trio.MemorySendChannel[Order]
    outbox: trio.MemorySendChannel[Append]
    now: Callable[[], float] = time.time
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex
    backoff: Callable[..., float] = delay
    door: Door = field(default_factory=lambda: Door(Limits.none()))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> Outcome:
        """Return when every task has its outcome and `RunEnded` is on its way to the journal."""
        teller = Teller(self.outbox, self.ledger.name)
        course = self._begin(teller)
        wishes = Wishes(ledger=self.ledger, roster=self.roster, now=self.now, standing=self.plan.standing)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(teller.run)
            task_status.started()
            if self.resumption is not None:
                await self.fan_outs.make_again(course, self.resumption)
                await self._restore(course, self.resumption)
            async with trio.open_nursery() as listening:
                listening.start_soon(self._hear, course, wishes)
                listening.start_soon(self._watch, course)
                listening.start_soon(self._trim, course)
                await self._take_in(course)
                await self._give_up(course)
                await self._decide(course, wishes)
                await self._conclude(course)
                listening.cancel_scope.cancel(reason="the run has ended")
            teller.close()
        return course.outcome(self.plan.on_failure)

    def _begin(self, teller: Teller) -> Course:
        tasks = {task.id: task for task in self.plan.tasks}
        if self.resumption is None or not self.resumption.begun:
            teller.tell(self._started({task.id: task.role for task in self.plan.tasks}))
        if self.resumption is not None:
            resumed = RunResumed(at=self.now(), epoch=self.resumption.epoch, pid=self.pid, version=self.version)
            teller.tell(resumed)
        allowance = Allowance(budgets_of(self.plan))
        course = Course(tasks, teller, dict.fromkeys(tasks, "pending"), self.backoff, allowance=allowance)
        course.standing = self.plan.standing
        course.add_services(self.plan.tasks)
        return course

    def _started(self, roles: Mapping[TaskId, str | None]) -> RunStarted:
        return RunStarted(
            at=self.now(),
            run=self.run_id,
            plan=self.plan_path,
            tasks=tuple(roles),
            pid=self.pid,
            version=self.version,
            roles={task: role for task, role in roles.items() if role is not None},
            budgets=budgets_of(self.plan),
            givers=tuple(task.id for task in self.plan.tasks if task.output is not None),
            detected=tuple(task.id for task in self.plan.tasks if task.unsaid_timeout),
            timeouts={task.id: task.timeout for task in self.plan.tasks if task.timeout is not None},
        )

    async def _restore(self, course: Course, left: Resumption) -> None:
        """Bring the course to where the run was left, and take up what is open. That waits for no ledger."""
        course.statuses |= left.statuses
        course.attempts |= left.attempts
        course.failures_by_cause |= left.failures_by_cause
        course.outputs |= left.outputs
        course.failures |= left.failures
        course.forgiven = left.forgiven
        course.kept |= left.retries.keys() & course.restarts.keys()
        for each in left.open:
            course.running.add(each.task)
            await self.roster.send(StartWorker(course.tasks[each.task], each.number, each.id, open=each))
        if left.stopping:
            await self._stop(course, StopRun(left.stopping, left.grace))
        for exited in left.ended:
            output = left.outputs.get(TaskId(exited.worker))
            course.ended.append(Ended(WorkerEnded(exited, output), course.stop is not None))

    async def _hear(self, course: Course, wishes: Wishes) -> None:
        """A stop, and the end of what stands still, come through whatever the ledger waits for."""
        async for decision in self.inbox:
            match decision:
                case WorkerEnded(exited):
                    course.running.remove(TaskId(exited.worker))
                    course.ended.append(Ended(decision, course.stop is not None))
                case StopRun():
                    await self._stop(course, decision)
                case Remedy():
                    await self._cure(course, decision)
                case OverBudget():
                    await self._spend(course, decision)
                case FleetEmpty():
                    course.empty = decision
                case AddTasks() | EndTask() | BeginAgain() | RetryOnce():
                    await wishes.hear(course, decision)
            course.news.set()

    async def _watch(self, course: Course) -> None:
        while True:
            course.heard = await self.ledger.watch(course.heard)
            course.news.set()

    async def _trim(self, course: Course) -> None:
        async for number, committed in course.teller.receipts:
            await committed.wait()
            await self.ledger.trim(number)

    async def _take_in(self, course: Course) -> None:
        """Tell the ledger of the plan, and of all that is known of the run."""
        tasks = list(course.tasks.values())
        entries = make_entries(tasks, course.made, course.refused)
        if self.resumption is None:
            course.tell(await self.ledger.submit(entries))
            return
        standings = make_standings(tasks, self.resumption, self.now())
        synced = await self.ledger.resync(_NODE, entries, standings)
        course.statuses |= synced.statuses
        course.grants |= {grant.task: grant for grant in synced.grants}
        course.tell(synced)

    async def _decide(self, course: Course, wishes: Wishes) -> None:
        while not course.is_over():
            await wishes.grant(course)
            if ended := course.take_ended():
                await self._finish(course, ended)
            if course.stop is None and course.is_stale():
                await self._claim(course)
            elif not course.ended and not course.wishes:
                await course.pause(math.inf if course.stop else course.due)
        wishes.close(course)

    async def _finish(self, course: Course, ended: Sequence[Ended]) -> None:
        ends = [judge_end(course, each, self.now()) for each in ended]
        await self._tell_end(course, *ends)

    async def _give_up(self, course: Course) -> None:
        """Stop the run where something has failed, and the plan says so."""
        failed = course.find_failure() if self.plan.on_failure == "stop" else None
        if failed is not None and course.stop is None:
            await self._stop(course, StopRun(f'"{failed}" has failed, and on_failure is "stop"', None))

    async def _claim(self, course: Course) -> None:
        """Start all that may start now."""
        free = max(self.plan.concurrency - course.slots(), 0)
        claimed = await self.ledger.claim(_NODE, free, self.plan.caps(), self.door.room(course.slots()))
        course.tell(claimed)
        course.left, course.seen = claimed.left, claimed.version
        waits = self.door.admitted([grant.task for grant in claimed.grants], claimed.held)
        course.due = min(trio.current_time() + claimed.wait, self.door.wake_at)
        for task, reason in waits.items():
            course.tell_why(task, reason, self.now())
        await self._start(course, claimed.grants)

    async def _start(self, course: Course, grants: Sequence[Grant]) -> None:
        """Those that a stop overtakes are given back."""
        begun = 0
        for grant in grants:
            if course.stop is None:
                begun += 1
                if grant.attempt:
                    await self.roster.send(course.begin(grant, AttemptId(self.new_id())))
                else:
                    await self._stand_in(course, grant)
        back = [Done(grant=each, status="stopped", reason=_NOT_STARTED, begun=False) for each in grants[begun:]]
        if back:
            course.tell(await self.ledger.finish(back))

    async def _stand_in(self, course: Course, grant: Grant) -> None:
        """Nothing is run for it."""
        end = await self.fan_outs.advance(course, grant, self.ledger, self.now())
        course.due = -math.inf
        if end is not None:
            await self._tell_end(course, end)

    async def _tell_end(self, course: Course, *ends: End) -> None:
        course.tell(await self.ledger.finish(ends))
        course.due = -math.inf
        await self._give_up(course)

    async def _cure(self, course: Course, remedy: Remedy) -> None:
        """End a worker that stands still; what follows is decided at its end."""
        task = remedy.task
        if course.stop is None and task in course.running and course.attempts[task] == remedy.attempt:
            course.remedies[task] = remedy
            await self.roster.send(StopWorker(WorkerId(task), course.tasks[task].grace, "stalled"))

    async def _spend(self, course: Course, over: OverBudget) -> None:
        """End who has used up what it may. Who waits for its start is refused then."""
        course.allowance.exceed(over.scope, over.name, over.reason)
        if over.scope == "run":
            await self._stop(course, StopRun(over.reason, None))
        for task in tuple(course.running) if course.stop is None else ():
            if why := course.used_up(task, begun=1):
                await self.roster.send(StopWorker(WorkerId(task), course.tasks[task].grace, "budget", why))

    async def _stop(self, course: Course, stop: StopRun) -> None:
        """No new starts from now on, and every worker is told. Said again, it can only become more urgent."""
        course.stop = stop
        hurried = course.hurry(stop)
        longest = max((course.graces[task] for task in course.running), default=0.0)
        course.teller.tell(RunStopping(at=self.now(), reason=stop.reason, grace=longest))
        for task, grace in hurried.items():
            await self.roster.send(StopWorker(WorkerId(task), grace, "stop"))

    async def _conclude(self, course: Course) -> None:
        await self.roster.send(EndFleet())
        if not OVER.issuperset(course.statuses.values()):
            course.tell(await self.ledger.cancel(None, _NOT_STARTED))
        while course.empty is None:
            await course.pause(math.inf)
        if course.empty.ended:
            course.teller.tell(FleetSwept(at=self.now(), processes=course.empty.ended))
        counts: dict[str, int] = {**Counter(course.statuses.values())}
        course.teller.tell(RunEnded(at=self.now(), outcome=course.outcome(self.plan.on_failure), counts=counts))
