"""Runs a plan: starts each task the moment its last need is done, retries, skips, stops, concludes."""

import heapq
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import trio

from actors.course import Course
from actors.door import Door
from actors.messages import Append
from actors.orders import (
    Decision,
    EndFleet,
    FleetEmpty,
    Order,
    OverBudget,
    StartWorker,
    StopRun,
    StopWorker,
    WorkerEnded,
)
from actors.teller import Teller
from protocols.allowance import Allowance
from protocols.backoff import delay
from protocols.events import Event, RunEnded, RunResumed, RunStarted, RunStopping, TaskStatusChanged, WorkerExited
from protocols.fleet_events import FleetSwept
from protocols.graph import Admission, Graph, Step
from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.kinds import Outcome, TaskStatus
from protocols.liveness_actions import Remedy
from protocols.outcomes import Verdict, judge
from protocols.plan import Plan
from protocols.plan_budgets import budgets_of
from protocols.pressure import Limits
from protocols.restarts import Again, Restarts
from protocols.resumption import Resumption
from protocols.task_output import TaskOutput

__all__ = ["Orchestrator"]

_OVER = frozenset(("succeeded", "failed", "timed-out", "parked", "skipped", "stopped"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """Drive one plan through the roster. Its state is in its locals: it is not restarted, its failure ends the run."""

    run_id: RunId
    plan: Plan
    plan_path: str
    version: str
    pid: int
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
        teller = Teller(self.outbox)
        course = self._begin(teller.tell)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(teller.run)
            task_status.started()
            ready = course.graph.ready()
            if self.resumption is not None:
                ready = await self._restore(course, self.resumption)
            if course.stop is None:
                await self._admit(course, ready)
            while not course.is_over():
                await self._step(course)
            await self._conclude(course)
            teller.close()
        return course.outcome(self.plan.on_failure)

    def _begin(self, tell: Callable[[Event], None]) -> Course:
        plan = self.plan
        tasks = {task.id: task for task in plan.tasks}
        over = {} if self.resumption is None else self.resumption.statuses  # nothing more follows from their needs
        graph = Graph(
            {task: () if task in over else needs for task, needs in plan.needs().items()},
            [task.id for task in plan.tasks if task.allow_failure],
            {task.id: task.on for task in plan.tasks if task.on},
        )
        roles = {task.id: task.role for task in plan.tasks}
        if self.resumption is None or not self.resumption.begun:
            tell(self._started(roles))
        if self.resumption is not None:
            tell(RunResumed(at=self.now(), epoch=self.resumption.epoch, pid=self.pid, version=self.version))
        admission = Admission(
            list(tasks),
            plan.concurrency,
            {task.id: task.counted_as() for task in plan.tasks},
            plan.caps(),
            {task: tasks[task].priority for task in tasks},
        )
        services = [task for task in plan.tasks if task.restart.when != "never"]
        restarts = {task.id: Restarts(task.restart, task.backoff, self.backoff) for task in services}
        return Course(tasks, graph, admission, tell, restarts=restarts, allowance=Allowance(budgets_of(plan)))

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
            timeouts={task.id: task.timeout for task in self.plan.tasks if task.timeout is not None},
        )

    async def _restore(self, course: Course, left: Resumption) -> tuple[TaskId, ...]:
        """Bring the course to where the run was left, take up what is open, and return what can start now."""
        course.statuses |= left.statuses
        course.attempts |= left.attempts
        course.failures_by_cause |= left.failures_by_cause
        course.outputs |= left.outputs
        course.failures |= left.failures
        ready = [*course.graph.ready()]
        for task, ok in left.finished:
            ready += self._follow(course, task, course.graph.finish(task, ok))
        pauses = {task: max(0.0, at - self.now()) for task, at in left.retries.items()}
        course.retries = sorted((trio.current_time() + pause, task) for task, pause in pauses.items())
        begun = {each.task for each in left.open} | {TaskId(each.worker) for each in left.ended}
        course.running |= begun
        for task in begun | (pauses.keys() & course.restarts.keys()):
            course.admission.hold(task)
        for each in left.open:
            if not each.told:
                self._change(course, each.task, "running")
            await self.roster.send(StartWorker(course.tasks[each.task], each.number, each.id, open=each))
        if left.stopping:
            await self._stop(course, StopRun(left.stopping, left.grace))
        for exited in left.ended:
            await self._ended(course, exited, left.outputs.get(TaskId(exited.worker)))
        await self._gives_up(course)
        return tuple(task for task in ready if task not in begun | pauses.keys() | course.statuses.keys())

    async def _step(self, course: Course) -> None:
        decision: Decision | None = None
        with trio.move_on_at(min(course.next_retry(), self.door.wake_at if course.stop is None else math.inf)):
            decision = await self.inbox.receive()
        match decision:
            case WorkerEnded(exited, output):
                await self._ended(course, exited, output)
            case StopRun():
                await self._stop(course, decision)
            case Remedy():
                await self._cure(course, decision)
            case OverBudget():
                await self._spend(course, decision)
            case FleetEmpty():
                raise AssertionError("the roster ended the fleet before it was told to")
            case None:
                due = course.due(trio.current_time())
                services = [task for task in due if task in course.restarts]
                await self._start(course, services)
                await self._admit(course, set(due).difference(services))

    async def _admit(self, course: Course, ready: Iterable[TaskId]) -> None:
        """Let these tasks wait too, and start all that may start now."""
        started, news = self.door.admit(course.admission, ready)
        for task, reason in news.items():
            self._change(course, task, course.statuses.get(task, "pending"), reason)
        await self._start(course, started)

    async def _start(self, course: Course, ready: list[TaskId]) -> None:
        for task in ready:
            course.running.add(task)
            course.attempts[task] = course.attempts.get(task, 0) + 1
            self._change(course, task, "running")
            await self.roster.send(course.order(task, AttemptId(self.new_id())))

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
        for task in course.running if course.stop is None else ():
            if why := course.used_up(task, begun=1):
                await self.roster.send(StopWorker(WorkerId(task), course.tasks[task].grace, "budget", why))

    async def _ended(self, course: Course, exited: WorkerExited, output: TaskOutput | None) -> None:
        task = TaskId(exited.worker)
        course.running.remove(task)
        remedy = course.remedies.pop(task, None)
        verdict = judge(exited, course.tasks[task].timeout, stopping=course.stop is not None, remedy=remedy)
        course.judged(exited, verdict, output)
        given_up = (exited.reason == "stalled" and not verdict.retry) or bool(course.used_up(task))
        if course.stop is None and task in course.restarts and not given_up:
            lived = 0.0 if exited.started_at is None else exited.ended_at - exited.started_at
            follows = course.restarts[task].ended(trio.current_time(), lived, verdict)
            if isinstance(follows, Again):
                self._put_off(course, task, "restarting", verdict.reason or "exit code 0", follows.pause)
                return
            verdict = follows
        course.admission.release(task)
        pause = course.pause_before_retry(exited, verdict, self.now(), self.backoff)
        if pause is not None:
            self._put_off(course, task, "retrying", verdict.reason, pause)
            ready: tuple[TaskId, ...] = ()
        else:
            ready = self._settle(course, task, course.explain(verdict, task))
        if course.stop is None and not await self._gives_up(course):
            await self._admit(course, ready)

    async def _gives_up(self, course: Course) -> bool:
        """Stop the run where something has failed, and the plan says so."""
        failed = course.find_failure() if self.plan.on_failure == "stop" else None
        if failed is not None and course.stop is None:
            await self._stop(course, StopRun(f'"{failed}" has failed, and on_failure is "stop"', None))
        return failed is not None

    def _put_off(self, course: Course, task: TaskId, status: TaskStatus, reason: str, pause: float) -> None:
        heapq.heappush(course.retries, (trio.current_time() + pause, task))
        self._change(course, task, status, reason, retry_at=self.now() + pause)

    def _settle(self, course: Course, task: TaskId, verdict: Verdict) -> tuple[TaskId, ...]:
        """Write the outcome of a task, and of those that will never start; return those that can start now."""
        self._change(course, task, verdict.status, verdict.reason)
        if verdict.status == "stopped":
            return ()
        return self._follow(course, task, course.graph.finish(task, verdict.status == "succeeded"))

    def _follow(self, course: Course, task: TaskId, step: Step) -> tuple[TaskId, ...]:
        """Write what the end of the task means for others, where that is not written yet; return who can start."""
        for skip in step.skipped:
            if skip.task in course.statuses:
                continue
            status = course.statuses[skip.cause].replace("-", " ").replace("parked", "was parked")
            why = f"which {status}" if skip.need == skip.cause else f'skipped because "{skip.cause}" {status}'
            wanted = " to fail" if course.tasks[skip.task].on.get(skip.need) == "failure" else ""
            self._change(course, skip.task, "skipped", f'needs "{skip.need}"{wanted}, {why}')
        return tuple(ready for ready in step.ready if course.statuses.get(ready, "pending") == "pending")

    async def _stop(self, course: Course, stop: StopRun) -> None:
        """No new starts from now on, and every worker is told. Said again, it can only become more urgent."""
        course.stop = stop
        hurried = course.hurry(stop)
        longest = max((course.graces[task] for task in course.running), default=0.0)
        course.tell(RunStopping(at=self.now(), reason=stop.reason, grace=longest))
        for task, grace in hurried.items():
            await self.roster.send(StopWorker(WorkerId(task), grace, "stop"))

    async def _conclude(self, course: Course) -> None:
        for task in course.graph.unfinished:
            if course.statuses.get(task) not in _OVER:
                self._change(course, task, "stopped", "not started: the run was stopped")
        await self.roster.send(EndFleet())
        async for decision in self.inbox:
            if isinstance(decision, FleetEmpty):
                if decision.ended:
                    course.tell(FleetSwept(at=self.now(), processes=decision.ended))
                break
        counts: dict[str, int] = {}
        for status in course.statuses.values():
            counts[status] = counts.get(status, 0) + 1
        course.tell(RunEnded(at=self.now(), outcome=course.outcome(self.plan.on_failure), counts=counts))

    def _change(
        self, course: Course, task: TaskId, status: TaskStatus, reason: str = "", retry_at: float | None = None
    ) -> None:
        course.statuses[task] = status
        course.tell(
            TaskStatusChanged(
                at=self.now(),
                task=task,
                status=status,
                reason=reason,
                attempt=course.attempts.get(task, 0),
                allowed=course.tasks[task].allow_failure,
                retry_at=retry_at,
            )
        )
