"""The orchestrator over plans of any shape, whose workers end in any way: each promise of a schedule holds."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.messages import Append
from actors.orchestrator import Orchestrator
from actors.orders import Decision, EndFleet, FleetEmpty, Order, StartWorker, StopWorker, WorkerEnded
from protocols.events import TaskStatusChanged, WorkerExited
from protocols.ids import RunId, TaskId, WorkerId
from protocols.kinds import EndReason, Outcome, TaskStatus
from protocols.ledger import OVER
from protocols.needs import Condition
from protocols.plan import Plan, Task
from tests.memory_ledger import MemoryLedger

CONDITIONS: tuple[Condition, ...] = ("success", "failure", "end")
ROLES = ("r", "s", None)
ENDS: tuple[tuple[EndReason, int | None], ...] = (
    *(("exit", 0),) * 8,
    *(("exit", 3), ("timeout", None), ("not-started", None), ("lost", None), ("output", 0), ("stalled", None)),
)


@dataclass
class Workers:
    """A roster whose workers live for a while and end in some way. It counts who runs, and looks at who may."""

    plan: Plan
    random: Random
    orders: trio.MemoryReceiveChannel[Order]
    decisions: trio.MemorySendChannel[Decision]
    statuses: dict[TaskId, TaskStatus] = field(default_factory=dict)
    attempts: Counter[TaskId] = field(default_factory=Counter)
    failures: Counter[TaskId] = field(default_factory=Counter)
    running: set[TaskId] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tasks = {task.id: task for task in self.plan.tasks}

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            async for order in self.orders:
                match order:
                    case StartWorker():
                        self.begin(order)
                        nursery.start_soon(self.live, order)
                    case EndFleet():
                        assert not self.running
                        await self.decisions.send(FleetEmpty(()))
                        return
                    case StopWorker():
                        pytest.fail("nobody asked for a stop")

    def begin(self, order: StartWorker) -> None:
        task = order.task
        assert task.id not in self.running
        self.attempts[task.id] += 1
        assert order.attempt == self.attempts[task.id]
        assert self.failures[task.id] <= task.retries
        self.running.add(task.id)
        assert len(self.running) <= self.plan.concurrency
        roles = Counter(self.tasks[each].role for each in self.running)
        assert all(roles[role] <= cap for role, cap in self.plan.role_concurrency.items())

    def note(self, event: TaskStatusChanged) -> None:
        """As the journal gets it: in the order in which it happened."""
        if event.status == "running":
            task = self.tasks[event.task]
            assert all(self.is_met(task, need) for need in task.needs)
        assert self.statuses.get(event.task) not in OVER
        self.statuses[event.task] = event.status

    def is_met(self, task: Task, need: TaskId) -> bool:
        status = self.statuses.get(need)
        allowed = self.tasks[need].allow_failure
        match task.on.get(need, "success"):
            case "success":
                return status == "succeeded" or (allowed and status in {"failed", "timed-out"})
            case "failure":
                return status in {"failed", "timed-out"}
            case "end":
                return status in OVER

    async def live(self, order: StartWorker) -> None:
        await trio.sleep(self.random.choice((0.0, 0.5, 1.0, 60.0)))
        reason, code = self.random.choice(ENDS)
        self.running.remove(order.task.id)
        self.failures[order.task.id] += reason != "stalled" and (reason, code) != ("exit", 0)
        exited = WorkerExited(
            at=0.0,
            worker=WorkerId(order.task.id),
            attempt=order.attempt,
            code=code,
            signal=None,
            reason=reason,
            started_at=0.0,
            ended_at=0.0,
            stdout_bytes=0,
            stderr_bytes=0,
        )
        await self.decisions.send(WorkerEnded(exited, None))


def make_plan(random: Random, size: int) -> Plan:
    ids = [TaskId(f"t{number}") for number in range(size)]
    tasks = []
    for number, name in enumerate(ids):
        near = ids[max(0, number - 30) : number]
        needs = tuple(random.sample(near, min(len(near), random.choice((0, 1, 1, 2, 3)))))
        conditions = random.choices(CONDITIONS, (17, 1, 2), k=len(needs))
        tasks.append(
            Task(
                id=name,
                command=("true",),
                role=random.choice(ROLES),
                needs=needs,
                on=dict(zip(needs, conditions, strict=True)),
                retries=random.choice((0, 0, 1, 3)),
                allow_failure=random.random() < 0.5,
                priority=random.choice((-1, 0, 0, 5)),
            )
        )
    return Plan(tasks=tuple(tasks), concurrency=random.choice((1, 7, 64)), role_concurrency={"r": 3})


async def run_at_random(seed: int, size: int) -> None:
    random = Random(seed)
    plan = make_plan(random, size)
    orders, to_roster = trio.open_memory_channel[Order](4)
    decisions, inbox = trio.open_memory_channel[Decision](4)
    appends, to_journal = trio.open_memory_channel[Append](4)
    workers = Workers(plan, random, to_roster, decisions)
    orchestrator = Orchestrator(
        run_id=RunId("aaaaaaaa"),
        plan=plan,
        plan_path="plan.toml",
        version="0",
        pid=1,
        ledger=MemoryLedger(),
        inbox=inbox,
        roster=orders,
        outbox=appends,
        now=trio.current_time,
        backoff=lambda attempt, first: first,
    )
    outcomes: list[Outcome] = []

    async def note() -> None:
        async for append in to_journal:
            if append.committed is not None:
                append.committed.set()
            if isinstance(append.event, TaskStatusChanged):
                workers.note(append.event)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note)
        nursery.start_soon(workers.run)
        async with appends:
            outcomes.append(await orchestrator.run())
    assert workers.statuses.keys() == workers.tasks.keys()
    assert OVER.issuperset(workers.statuses.values())
    assert set(workers.attempts) == {task for task, status in workers.statuses.items() if status != "skipped"}
    bad = [each.id for each in plan.tasks if workers.statuses[each.id] in {"failed", "timed-out"}]
    allowed = {each.id for each in plan.tasks if each.allow_failure}
    assert outcomes == ["failed" if set(bad) - allowed else "succeeded"]


@given(seed=st.integers(0, 2**32), size=st.integers(1, 40))
@settings(max_examples=50)
def test_every_plan_comes_to_its_end_and_keeps_its_order_attempts_and_caps(seed: int, size: int) -> None:
    trio.run(run_at_random, seed, size, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("seed", range(3))
async def test_a_thousand_tasks_that_fail_at_random_come_to_their_end_in_order(
    autojump_clock: MockClock, seed: int
) -> None:
    await run_at_random(seed, 1000)
