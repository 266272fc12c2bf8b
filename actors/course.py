"""Where a run stands: what the orchestrator knows of its tasks, and what follows from that alone."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import trio

from actors.orders import FleetEmpty, StartWorker, StopRun, Wish, WorkerEnded
from actors.teller import Teller
from protocols.allowance import Allowance
from protocols.events import TaskStatusChanged, WorkerExited
from protocols.ids import AttemptId, TaskId
from protocols.kinds import Outcome, TaskStatus
from protocols.ledger import Changed, Done, Grant
from protocols.liveness_actions import Remedy
from protocols.outcomes import Verdict, cause_of
from protocols.plan import OnFailure, Task
from protocols.restarts import Restarts
from protocols.retry import Cause
from protocols.task_output import Failure, TaskOutput

__all__ = ["Course", "Ended"]


class Ended(NamedTuple):
    """An attempt that nobody has judged yet."""

    worker: WorkerEnded
    stopping: bool
    """The run was being stopped when it ended."""


_SHOWN = 5  # names in a reason
_BAD = frozenset(("failed", "timed-out", "parked"))


@dataclass(slots=True)
class Course:
    """Where the run stands."""

    tasks: dict[TaskId, Task]
    teller: Teller
    statuses: dict[TaskId, TaskStatus]
    """Of every task, as it was told last."""
    backoff: Callable[..., float]
    grants: dict[TaskId, Grant] = field(default_factory=dict)
    """Of the tasks that run, until the ledger knows of their end."""
    attempts: dict[TaskId, int] = field(default_factory=dict)
    """How many were started."""
    failures_by_cause: dict[TaskId, dict[Cause, int]] = field(default_factory=dict)
    """How many of them failed, and why."""
    remedies: dict[TaskId, Remedy] = field(default_factory=dict)
    """For the workers that are ended because they stand still."""
    restarts: dict[TaskId, Restarts] = field(default_factory=dict)
    """Of the services."""
    running: set[TaskId] = field(default_factory=set)
    kept: set[TaskId] = field(default_factory=set)
    """The services that keep their slots between two attempts."""
    ended: list[Ended] = field(default_factory=list)
    """What is not yet judged: one for each task at most."""
    left: int = 0
    """How many wait for a slot, the machine or their moment."""
    due: float = -math.inf
    """When the ledger is to be asked again who may start, on trio's clock."""
    seen: int = 0
    """The version of the ledger that was asked last."""
    heard: int = 0
    """The newest version of which was told."""
    empty: FleetEmpty | None = None
    news: trio.Event = field(default_factory=trio.Event)
    outputs: dict[TaskId, TaskOutput] = field(default_factory=dict)
    """Of the tasks that gave one."""
    failures: dict[TaskId, Failure] = field(default_factory=dict)
    """Of the last attempts that failed."""
    made: dict[TaskId, tuple[TaskId, ...]] = field(default_factory=dict)
    """The tasks for the items of each task that stands for others, once they are known."""
    refused: dict[TaskId, str] = field(default_factory=dict)
    """What is wrong with the items of some of them."""
    allowance: Allowance = field(default_factory=Allowance)
    stop: StopRun | None = None
    graces: dict[TaskId, float] = field(default_factory=dict)
    """Of the most urgent stop of each worker that was told to stop."""
    forgiven: frozenset[TaskId] = frozenset()
    """Of the tasks of an earlier supervisor those that were allowed to fail: `tasks` may not have them any more."""
    standing: bool = False
    """It is over only when somebody wants that."""
    wishes: list[Wish] = field(default_factory=list)
    """What nobody has answered yet."""
    unwanted: set[TaskId] = field(default_factory=set)
    """Somebody wants their end: nothing follows from that of their worker."""
    again: set[TaskId] = field(default_factory=set)
    """Somebody wants another attempt of these as soon as their worker has ended."""
    closed: bool = False
    """Nothing is decided any more."""

    def is_over(self) -> bool:
        """Nothing runs, and nothing is to start any more."""
        if self.running or self.ended or self.wishes:
            return False
        return self.stop is not None or not (self.standing or self.left or self.is_stale())

    def is_judged_next(self, task: TaskId) -> bool:
        """Its worker has ended, and nobody has said yet what that means."""
        return any(TaskId(each.worker.exited.worker) == task for each in self.ended)

    def is_stale(self) -> bool:
        """The ledger may let somebody start who could not when it was asked last."""
        return self.heard > self.seen or trio.current_time() >= self.due

    def slots(self) -> int:
        """How many are taken."""
        return len(self.running) + len(self.ended) + len(self.kept)

    def take_ended(self) -> list[Ended]:
        ended, self.ended = self.ended, []
        return ended

    async def pause(self, until: float) -> None:
        """Until there is something to be done, on trio's clock."""
        with trio.move_on_at(until):
            await self.news.wait()
        self.news = trio.Event()

    def tell(self, changed: Changed) -> None:
        """Pass on what the ledger has in its outbox now."""
        for told in changed.told:
            if isinstance(told.event, TaskStatusChanged):
                self.statuses[told.event.task] = told.event.status
            self.teller.tell_from_outbox(told)

    def tell_why(self, task: TaskId, reason: str, at: float) -> None:
        """Nothing but what it waits for has changed. ``at``: Unix time."""
        self.teller.tell(
            TaskStatusChanged(
                at=at,
                task=task,
                status=self.statuses[task],
                reason=reason,
                attempt=self.attempts.get(task, 0),
                allowed=self.tasks[task].allow_failure,
            )
        )

    def begin(self, grant: Grant, id: AttemptId) -> StartWorker:  # noqa: A002 - it is called so
        """An attempt, with what is known for it."""
        task = grant.task
        self.grants[task] = grant
        self.kept.discard(task)
        self.running.add(task)
        self.attempts[task] = grant.attempt
        uses = self.tasks[task].uses
        return StartWorker(
            self.tasks[task],
            self.attempts[task],
            id,
            outputs=self.given(uses),
            groups=tuple(used for used in uses if self.tasks[used].for_each is not None),
            failure=self.failures.get(task),
            over_budget=self.used_up(task, begun=1),
        )

    def used_up(self, task: TaskId, *, begun: int = 0) -> str:
        """Why no attempt of a task may be started; empty where one may. ``begun``: see `Allowance.refuse`."""
        return self.allowance.refuse(self.tasks[task], self.tasks, self.attempts, begun)

    def given(self, uses: Iterable[TaskId]) -> tuple[TaskOutput, ...]:
        """What these gave, or the tasks that were made for them."""
        sources = (each for used in uses for each in self.made.get(used, (used,)))
        return tuple(self.outputs[source] for source in sources if source in self.outputs)

    def add(self, group: TaskId, tasks: Collection[Task], refused: Mapping[TaskId, str]) -> None:
        """This one stands for these from now on."""
        self.made[group] = tuple(task.id for task in tasks)
        self.refused |= refused
        self.take_in(tasks)

    def take_in(self, tasks: Iterable[Task]) -> None:
        """It has these too from now on."""
        fresh = {task.id: task for task in tasks}
        self.tasks |= fresh
        self.statuses |= dict.fromkeys(fresh, "pending")
        self.add_services(fresh.values())

    def reopen(self, task: Task) -> None:
        """It is to run once more, as if it had never failed."""
        for kept in (self.failures_by_cause, self.failures, self.outputs, self.remedies, self.restarts):
            kept.pop(task.id, None)
        self.kept.discard(task.id)
        self.add_services([task])

    def add_services(self, tasks: Iterable[Task]) -> None:
        services = [task for task in tasks if task.restart.when != "never"]
        self.restarts |= {task.id: Restarts(task.restart, task.backoff, self.backoff) for task in services}

    def conclude(self, grant: Grant) -> Done:
        """The end of a task for which nothing is run: there is something wrong with its item, or all for which it
        stands are over."""
        if why := self.refused.get(grant.task):
            return Done(grant=grant, status="failed", reason=why)
        items = self.made[grant.task]
        bad = [item for item in items if self.statuses[item] != "succeeded"]
        count = f"{len(items):,} item{'' if len(items) == 1 else 's'}"
        if not bad:
            return Done(grant=grant, status="succeeded", reason=count if items else "no items")
        named = ", ".join(bad[:_SHOWN]) + (", …" if len(bad) > _SHOWN else "")
        reason = f"{len(bad):,} of {count} failed: {named}"
        return Done(
            grant=grant, status="succeeded" if self.tasks[grant.task].allow_failure else "failed", reason=reason
        )

    def judged(self, exited: WorkerExited, verdict: Verdict, output: TaskOutput | None) -> None:
        """Keep what the end of an attempt leaves to others, and to the next one."""
        task = TaskId(exited.worker)
        self.outputs.pop(task, None)
        if verdict.status == "succeeded" and output is not None:
            self.outputs[task] = output
        elif verdict.status != "succeeded":
            self.failures[task] = Failure(verdict.reason, exited.reason == "output")

    def pause_before_retry(self, exited: WorkerExited, verdict: Verdict, now: float) -> float | None:
        """Count how this attempt ended. Seconds until the next one; None where there is none. ``now``: Unix time."""
        task, cause = self.tasks[TaskId(exited.worker)], cause_of(exited)
        failures = self.failures_by_cause.setdefault(task.id, {})
        if cause is not None:
            failures[cause] = failures.get(cause, 0) + 1
        if not verdict.retry or not task.retry.allows(task.retries, failures, cause):
            return None
        if self.used_up(task.id):
            return None
        pause = task.retry.pause(self.attempts[task.id], task.backoff, self.backoff)
        return pause if exited.quota_until is None else max(pause, exited.quota_until - now)

    def explain(self, verdict: Verdict, task: TaskId) -> Verdict:
        """With the reason why there is no further attempt, where that is a budget."""
        if not verdict.retry or not (why := self.used_up(task)):
            return verdict
        return msgspec.structs.replace(verdict, reason=f"{verdict.reason}; {why}")

    def hurry(self, stop: StopRun) -> dict[TaskId, float]:
        """The running tasks for which this stop is more urgent than those before, with the grace that they get."""
        wanted = {task: self.tasks[task].grace if stop.grace is None else stop.grace for task in self.running}
        hurried = {task: grace for task, grace in wanted.items() if grace < self.graces.get(task, math.inf)}
        self.graces |= hurried
        return hurried

    def find_failure(self) -> TaskId | None:
        """A task that came to a bad end of its own, and must not."""
        bad = (task for task, status in self.statuses.items() if status in _BAD)
        return next((task for task in bad if not self._may_fail(task)), None)

    def _may_fail(self, name: TaskId) -> bool:
        task = self.tasks.get(name)
        return name in self.forgiven if task is None else task.allow_failure

    def outcome(self, on_failure: OnFailure) -> Outcome:
        """A task whose condition did not come true was skipped in order."""
        failed = self.find_failure() is not None
        if "stopped" in self.statuses.values():
            return "failed" if failed and on_failure == "stop" else "interrupted"
        return "failed" if failed else "succeeded"
