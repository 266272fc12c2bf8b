"""The orchestrator against a roster that a test plays."""

import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.door import Door
from actors.messages import Append
from actors.orchestrator import Orchestrator
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
from protocols.budget import Amounts, Budget
from protocols.events import (
    Event,
    Record,
    RunEnded,
    RunResumed,
    RunStarted,
    RunStopping,
    TaskStatusChanged,
    WorkerExited,
)
from protocols.ids import RunId, TaskId, WorkerId
from protocols.kinds import EndReason
from protocols.ledger import Claimed, Ledger
from protocols.liveness_actions import Remedy
from protocols.plan import Plan, Task
from protocols.pressure import Limits, Machine
from protocols.restarts import RestartPolicy
from protocols.resumption import Resumption, find_resumption
from protocols.retry import Cause, RetryPolicy
from protocols.states import RunView
from protocols.task_output import Failure, Output, TaskOutput
from tests.made_fleets import exited, run_started, started, starting, status
from tests.memory_ledger import MemoryLedger

PATIENCE = 3600.0
_MB = 1_000_000
_LIMITS = Limits(min_free_memory=512 * _MB)


@dataclass
class Stage:
    """The orchestrator's surroundings: what it orders, what it is told, what it writes down."""

    orders: trio.MemoryReceiveChannel[Order]
    decisions: trio.MemorySendChannel[Decision]
    events: list[Event] = field(default_factory=list)
    disk: trio.Event = field(default_factory=trio.Event)
    """Set while it takes something."""

    async def next_start(self) -> StartWorker:
        order = await self.orders.receive()
        assert isinstance(order, StartWorker)
        return order

    async def end(
        self,
        start: StartWorker,
        code: int | None = 0,
        reason: EndReason = "exit",
        signal: str | None = None,
        lived: float = 0.0,
        output: TaskOutput | None = None,
        **said: Any,
    ) -> None:
        exited = WorkerExited(
            at=0.0,
            worker=WorkerId(start.task.id),
            attempt=start.attempt,
            code=code,
            signal=signal,
            reason=reason,
            started_at=None if reason == "not-started" else 0.0,
            ended_at=lived,
            stdout_bytes=0,
            stderr_bytes=0,
            **said,
        )
        await self.decisions.send(WorkerEnded(exited, output))

    async def empty_the_fleet(self) -> None:
        order = await self.orders.receive()
        assert order == EndFleet()
        await self.decisions.send(FleetEmpty(()))

    def statuses(self) -> dict[TaskId, str]:
        return {event.task: event.status for event in self.events if isinstance(event, TaskStatusChanged)}

    def reasons(self) -> dict[str, str]:
        return {event.task: event.reason for event in self.events if isinstance(event, TaskStatusChanged)}

    def outcome(self) -> str:
        last = self.events[-1]
        assert isinstance(last, RunEnded)
        return last.outcome


@asynccontextmanager
async def conducted(
    *tasks: Task,
    concurrency: int = 16,
    resumption: Resumption | None = None,
    machine: Callable[[], Machine] | None = None,
    ledger: Ledger | None = None,
    role_budgets: dict[str, Budget] | None = None,
    standing: bool = False,
) -> AsyncIterator[Stage]:
    """Run the orchestrator over these tasks; at the end of the body it must come to its own end."""
    orders, to_roster = trio.open_memory_channel[Order](1)
    decisions, inbox = trio.open_memory_channel[Decision](64)
    appends, to_journal = trio.open_memory_channel[Append](1)
    stage = Stage(to_roster, decisions)
    stage.disk.set()
    orchestrator = Orchestrator(
        run_id=RunId("aaaaaaaa"),
        plan=Plan(tasks=tasks, concurrency=concurrency, role_budgets=role_budgets or {}, standing=standing),
        plan_path="plan.toml",
        version="0",
        pid=1,
        ledger=ledger or MemoryLedger(),
        inbox=inbox,
        resumption=resumption,
        roster=orders,
        outbox=appends,
        now=trio.current_time,
        backoff=lambda attempt, first, **_: first * attempt,
        door=Door(Limits.none() if machine is None else _LIMITS, machine or Machine),
    )

    async def note() -> None:
        async for append in to_journal:
            await stage.disk.wait()
            stage.events.append(append.event)
            if append.committed is not None:
                append.committed.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(note)
        async with appends, trio.open_nursery() as acting:
            await acting.start(orchestrator.run)
            yield stage
        await trio.testing.wait_all_tasks_blocked()


def task(name: str, *needs: str, **fields: object) -> Task:
    return Task(id=TaskId(name), command=("true",), needs=tuple(TaskId(need) for need in needs), **fields)  # type: ignore[arg-type] # the test names the field


async def test_the_first_record_names_all_tasks_with_their_roles_and_timeouts(autojump_clock: MockClock) -> None:
    async with conducted(task("a", role="checker"), task("b", timeout=9.0)) as stage:
        await stage.end(await stage.next_start())
        await stage.end(await stage.next_start())
        await stage.empty_the_fleet()

    first = stage.events[0]
    assert isinstance(first, RunStarted)
    assert (first.tasks, first.roles, first.timeouts) == (("a", "b"), {"a": "checker"}, {"b": 9.0})


async def test_a_task_starts_the_moment_its_last_need_is_done(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), task("b"), task("c", "a", "b"), task("d", "a")) as stage:
        a, b = await stage.next_start(), await stage.next_start()
        await stage.end(a)
        d = await stage.next_start()
        await stage.end(b)
        c = await stage.next_start()
        await stage.end(c)
        await stage.end(d)
        await stage.empty_the_fleet()

    assert [start.task.id for start in (a, b, d, c)] == ["a", "b", "d", "c"]
    assert stage.outcome() == "succeeded"


async def test_dependents_of_a_failure_are_skipped_with_the_reason(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), task("b", "a"), task("c", "b"), task("d")) as stage:
        a, d = await stage.next_start(), await stage.next_start()
        await stage.end(a, code=3)
        await stage.end(d)
        await stage.empty_the_fleet()

    changes = {event.task: event for event in stage.events if isinstance(event, TaskStatusChanged)}
    assert changes[TaskId("a")].reason == "exit code 3"
    assert changes[TaskId("b")].reason == 'needs "a", which failed'
    assert changes[TaskId("c")].reason == 'needs "b", skipped because "a" failed'
    assert stage.statuses() == {"a": "failed", "b": "skipped", "c": "skipped", "d": "succeeded"}
    assert stage.outcome() == "failed"


async def test_an_allowed_failure_stops_nobody_and_leaves_the_run_succeeded(autojump_clock: MockClock) -> None:
    async with conducted(task("a", allow_failure=True), task("b", "a")) as stage:
        await stage.end(await stage.next_start(), code=1)
        await stage.end(await stage.next_start())
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "failed", "b": "succeeded"}
    assert stage.outcome() == "succeeded"


async def test_retries_come_after_growing_pauses_and_are_counted(autojump_clock: MockClock) -> None:
    async with conducted(task("a", retries=2, backoff=10.0)) as stage:
        moments = []
        for attempt in (1, 2, 3):
            start = await stage.next_start()
            moments.append(trio.current_time())
            assert start.attempt == attempt
            await stage.end(start, code=1)
        await stage.empty_the_fleet()

    assert [later - earlier for earlier, later in pairwise(moments)] == [10.0, 20.0]
    assert stage.statuses() == {"a": "failed"}


@pytest.mark.parametrize(
    ("reason", "code", "status"),
    [
        ("exit", 3, "failed"),
        ("timeout", None, "timed-out"),
        ("output", 0, "failed"),
        ("lost", None, "failed"),
        ("stalled", None, "failed"),
        ("memory", None, "failed"),
        ("not-started", None, "failed"),
    ],
)
@pytest.mark.parametrize("allowed", [0, 2])
async def test_each_cause_is_retried_as_often_as_the_plan_says_for_it(
    autojump_clock: MockClock, reason: EndReason, code: int | None, status: str, allowed: int
) -> None:
    cause: Cause = "exit" if reason in ("memory", "not-started") else reason  # type: ignore[assignment] # it is named like this end
    policy = RetryPolicy(counts={cause: allowed})
    async with conducted(task("a", retries=9, retry=policy, backoff=1.0)) as stage:
        for attempt in range(1, allowed + 2):
            start = await stage.next_start()
            assert start.attempt == attempt
            await stage.end(start, code, reason, None if code is not None else "SIGTERM")
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": status}


async def test_who_ran_out_of_quota_waits_until_there_is_some_again(autojump_clock: MockClock) -> None:
    policy = RetryPolicy(counts={"quota": 1})
    async with conducted(task("a", retry=policy, backoff=1.0), task("b", retry=policy, backoff=1.0)) as stage:
        first, second = await stage.next_start(), await stage.next_start()
        begun = trio.current_time()
        await stage.end(first, code=1, quota=True, quota_until=begun + 500.0)
        await stage.end(second, code=1, quota=True)
        moments = {}
        for _ in range(2):
            start = await stage.next_start()
            moments[start.task.id] = trio.current_time() - begun
            await stage.end(start, code=1, quota=True)
        await stage.empty_the_fleet()

    assert moments == {"a": 500.0, "b": 1.0}
    assert stage.statuses() == {"a": "failed", "b": "failed"}


async def test_what_an_earlier_supervisor_counted_of_each_cause_holds(autojump_clock: MockClock) -> None:
    policy = RetryPolicy(counts={"timeout": 1, "exit": 1})
    told: list[Event] = [run_started("a"), starting("a"), started("a"), exited("a", code=1)]
    told.append(status("a", "retrying", attempt=1))
    view = RunView()
    for seq, event in enumerate(told, 1):
        view.apply(Record(seq, event))
    left = find_resumption(view, 2)
    async with conducted(task("a", retry=policy, backoff=1.0), resumption=left) as stage:
        await stage.end(await stage.next_start(), None, "timeout", "SIGTERM")
        last = await stage.next_start()
        await stage.end(last, code=1)
        await stage.empty_the_fleet()

    assert last.attempt == 3
    assert stage.statuses() == {"a": "failed"}


async def test_who_has_used_up_its_budget_is_stopped_and_fails_for_that_reason(autojump_clock: MockClock) -> None:
    budget = Budget(hard=Amounts(tokens=100))
    async with conducted(task("a", retries=5, budget=budget, grace=7.0), task("b", "a"), task("c")) as stage:
        a, c = await stage.next_start(), await stage.next_start()
        await stage.decisions.send(OverBudget("task", "a", "budget of a"))
        assert await stage.orders.receive() == StopWorker(WorkerId("a"), 7.0, "budget", "budget of a")
        await stage.end(a, None, "budget", "SIGTERM", error="budget of a")
        await stage.end(c)
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "failed", "b": "skipped", "c": "succeeded"}
    assert stage.reasons()["a"] == "budget of a; killed by SIGTERM"


async def test_no_task_of_a_role_without_budget_is_started_or_retried(autojump_clock: MockClock) -> None:
    budgets = {"r": Budget(hard=Amounts(tokens=100))}
    tasks = [task("a", role="r", retries=5), task("b", "a", role="r", allow_failure=True), task("c", "b")]
    async with conducted(tasks[0], *tasks[1:], role_budgets=budgets) as stage:
        await stage.end(await stage.next_start())
        b = await stage.next_start()
        await stage.decisions.send(OverBudget("role", "r", "all is used"))
        assert isinstance(await stage.orders.receive(), StopWorker)
        await stage.end(b, code=3)
        c = await stage.next_start()
        await stage.end(c)
        await stage.empty_the_fleet()

    assert (b.over_budget, c.over_budget) == ("", "")
    assert stage.reasons()["b"] == "exit code 3; all is used"


async def test_who_waits_for_its_start_is_refused_when_all_is_used(autojump_clock: MockClock) -> None:
    budgets = {"r": Budget(hard=Amounts(tokens=100))}
    async with conducted(task("a"), task("b", "a", role="r"), role_budgets=budgets) as stage:
        a = await stage.next_start()
        await stage.decisions.send(OverBudget("role", "r", "all is used"))
        await stage.end(a)
        b = await stage.next_start()
        await stage.end(b, None, "budget", error="all is used")
        await stage.empty_the_fleet()

    assert b.over_budget == "all is used"
    assert stage.reasons()["b"] == "all is used"


async def test_attempts_of_a_task_and_of_a_role_have_an_end(autojump_clock: MockClock) -> None:
    own, shared = Budget(hard=Amounts(attempts=2)), {"r": Budget(hard=Amounts(attempts=3))}
    tasks = [task("a", retries=9, budget=own, role="r", backoff=1.0), task("b", "a", role="r", retries=9, backoff=1.0)]
    tasks[0] = msgspec.structs.replace(tasks[0], allow_failure=True)
    async with conducted(*tasks, role_budgets=shared) as stage:
        starts = []
        for _ in range(3):
            starts.append(await stage.next_start())
            await stage.end(starts[-1], code=1)
        await stage.empty_the_fleet()

    assert [(each.task.id, each.attempt, each.over_budget) for each in starts] == [
        ("a", 1, ""),
        ("a", 2, ""),
        ("b", 1, ""),
    ]
    assert stage.reasons() == {
        "a": 'exit code 1; budget of task "a": attempts 2 of 2',
        "b": 'exit code 1; budget of role "r": attempts 3 of 3',
    }


async def test_a_service_without_budget_is_not_started_again(autojump_clock: MockClock) -> None:
    web = task("web", restart=RestartPolicy(when="always"), budget=Budget(hard=Amounts(time=60.0)))
    async with conducted(web) as stage:
        start = await stage.next_start()
        await stage.decisions.send(OverBudget("task", "web", "its time is over"))
        await stage.orders.receive()
        await stage.end(start, None, "budget", "SIGTERM", error="its time is over")
        await stage.empty_the_fleet()

    assert stage.statuses() == {"web": "failed"}


async def test_the_budget_of_a_run_stops_it_with_the_reason(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), task("b", "a")) as stage:
        a = await stage.next_start()
        await stage.decisions.send(OverBudget("run", "", "budget of the run: cost 5.1 of 5"))
        await stage.orders.receive()
        await stage.end(a, None, "stop", "SIGTERM")
        await stage.empty_the_fleet()

    (stopping,) = [event for event in stage.events if isinstance(event, RunStopping)]
    assert stopping.reason == "budget of the run: cost 5.1 of 5"
    assert stage.statuses() == {"a": "stopped", "b": "stopped"}


async def test_a_waiting_retry_holds_no_slot(autojump_clock: MockClock) -> None:
    async with conducted(task("a", retries=1, backoff=10.0), task("b"), concurrency=1) as stage:
        a = await stage.next_start()
        await stage.end(a, code=1)
        b = await stage.next_start()
        await trio.sleep(60)
        await stage.end(b)
        again = await stage.next_start()
        await stage.end(again)
        await stage.empty_the_fleet()

    assert (a.task.id, b.task.id, again.task.id, again.attempt) == ("a", "b", "a", 2)


async def test_a_timeout_is_an_outcome_of_its_own(autojump_clock: MockClock) -> None:
    async with conducted(task("a", timeout=90.0)) as stage:
        await stage.end(await stage.next_start(), None, "timeout", "SIGTERM")
        await stage.empty_the_fleet()

    change = next(event for event in reversed(stage.events) if isinstance(event, TaskStatusChanged))
    assert (change.status, change.reason) == ("timed-out", "timed out after 1m30s, killed by SIGTERM")
    assert stage.outcome() == "failed"


async def test_a_stop_ends_the_running_and_starts_nothing(autojump_clock: MockClock) -> None:
    async with conducted(task("a", grace=7.0), task("b", "a"), task("c", retries=5, backoff=50.0), task("d")) as stage:
        a, c, d = [await stage.next_start() for _ in range(3)]
        await stage.end(c, code=1)
        await stage.decisions.send(StopRun("SIGINT", None))
        stops = [await stage.orders.receive(), await stage.orders.receive()]
        await stage.end(d)  # it ended by itself before the stop reached it
        await stage.end(a, None, "stop", "SIGTERM")
        await stage.empty_the_fleet()

    assert sorted(stop.worker for stop in stops if isinstance(stop, StopWorker)) == ["a", "d"]
    assert StopWorker(WorkerId("a"), 7.0, "stop") in stops
    assert stage.statuses() == {"a": "stopped", "b": "stopped", "c": "stopped", "d": "succeeded"}
    assert stage.outcome() == "interrupted"


async def test_a_second_stop_is_passed_on_as_more_urgent(autojump_clock: MockClock) -> None:
    async with conducted(task("a")) as stage:
        a = await stage.next_start()
        await stage.decisions.send(StopRun("SIGINT", None))
        first = await stage.orders.receive()
        await stage.decisions.send(StopRun("SIGINT again", 0.0))
        second = await stage.orders.receive()
        await stage.end(a, None, "stop", "SIGKILL")
        await stage.empty_the_fleet()

    assert (first, second) == (StopWorker(WorkerId("a"), 10.0, "stop"), StopWorker(WorkerId("a"), 0.0, "stop"))
    stops = [(event.reason, event.grace) for event in stage.events if isinstance(event, RunStopping)]
    assert stops == [("SIGINT", 10.0), ("SIGINT again", 0.0)]


async def test_a_stop_that_is_not_more_urgent_is_recorded_and_changes_nothing(autojump_clock: MockClock) -> None:
    async with conducted(task("a", grace=5.0), task("b", grace=20.0)) as stage:
        starts = [await stage.next_start(), await stage.next_start()]
        for reason, grace in (("first", 10.0), ("same", 10.0), ("later", 15.0), ("each its own", None), ("last", 0.0)):
            await stage.decisions.send(StopRun(reason, grace))
        stops = [await stage.orders.receive() for _ in range(5)]
        for start in starts:
            await stage.end(start, None, "stop", "SIGKILL")
        await stage.empty_the_fleet()

    graces = [(stop.worker, stop.grace) for stop in stops if isinstance(stop, StopWorker)]
    assert sorted(graces) == [("a", 0.0), ("a", 5.0), ("a", 10.0), ("b", 0.0), ("b", 10.0)]
    told = [(event.reason, event.grace) for event in stage.events if isinstance(event, RunStopping)]
    assert told == [("first", 10.0), ("same", 10.0), ("later", 10.0), ("each its own", 10.0), ("last", 0.0)]


async def test_a_stop_reaches_the_workers_while_the_journal_takes_nothing(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), task("b")) as stage:
        starts = [await stage.next_start(), await stage.next_start()]
        await trio.testing.wait_all_tasks_blocked()
        stage.disk = trio.Event()
        for grace in (10.0, 5.0, 0.0):
            await stage.decisions.send(StopRun("full", grace))
        stops = [await stage.orders.receive() for _ in range(6)]
        stage.disk.set()
        for start in starts:
            await stage.end(start, None, "stop", "SIGKILL")
        await stage.empty_the_fleet()

    assert [stop.grace for stop in stops if isinstance(stop, StopWorker)] == [10.0, 10.0, 5.0, 5.0, 0.0, 0.0]
    assert [event.grace for event in stage.events if isinstance(event, RunStopping)] == [10.0, 5.0, 0.0]
    assert stage.outcome() == "interrupted"


async def test_a_stop_reaches_the_workers_while_the_ledger_takes_nothing(autojump_clock: MockClock) -> None:
    ledger = MemoryLedger()
    async with conducted(task("a"), task("b"), task("c", "a"), ledger=ledger) as stage:
        a, b = await stage.next_start(), await stage.next_start()
        await trio.testing.wait_all_tasks_blocked()
        ledger.disk = trio.Event()
        await stage.end(a)
        await trio.testing.wait_all_tasks_blocked()
        await stage.decisions.send(StopRun("SIGINT", None))
        stop = await stage.orders.receive()
        await stage.end(b, None, "stop", "SIGTERM")
        await trio.sleep(3600)
        assert stage.statuses() == {"a": "running", "b": "running"}
        ledger.disk.set()
        await stage.empty_the_fleet()

    assert stop == StopWorker(WorkerId("b"), 10.0, "stop")
    assert stage.statuses() == {"a": "succeeded", "b": "stopped", "c": "stopped"}
    assert stage.outcome() == "interrupted"


class SlowLedger(MemoryLedger):
    """It grants, and its answer takes until the gate opens."""

    gate = trio.Event()

    async def claim(
        self, node: str, free: int, caps: Mapping[str, int] | None = None, most: float = math.inf
    ) -> Claimed:
        claimed = await super().claim(node, free, caps, most)
        await self.gate.wait()
        return claimed


async def test_grants_that_a_stop_overtakes_are_given_back(autojump_clock: MockClock) -> None:
    ledger = SlowLedger()
    ledger.gate = trio.Event()
    async with conducted(task("a"), task("b", "a"), ledger=ledger) as stage:
        await trio.testing.wait_all_tasks_blocked()
        await stage.decisions.send(StopRun("SIGINT", None))
        await trio.testing.wait_all_tasks_blocked()
        ledger.gate.set()
        await stage.empty_the_fleet()

    changes = [event for event in stage.events if isinstance(event, TaskStatusChanged)]
    assert [(change.task, change.status, change.attempt) for change in changes] == [
        ("a", "running", 1),
        ("a", "stopped", 0),
        ("b", "stopped", 0),
    ]
    assert stage.outcome() == "interrupted"


async def test_what_was_told_to_the_journal_leaves_the_outbox(autojump_clock: MockClock) -> None:
    ledger = MemoryLedger()
    async with conducted(*(task(f"t{number}") for number in range(300)), ledger=ledger, concurrency=300) as stage:
        starts = [await stage.next_start() for _ in range(300)]
        await trio.testing.wait_all_tasks_blocked()
        assert len(ledger.store.box) == 44
        for start in starts:
            await stage.end(start)
        await stage.empty_the_fleet()

    assert [event.at for event in stage.events if isinstance(event, TaskStatusChanged)] == [0.0] * 600


async def test_a_stop_before_the_first_worker_leaves_all_tasks_stopped(autojump_clock: MockClock) -> None:
    async with conducted(task("a", retries=1, backoff=100.0), task("b", "a")) as stage:
        await stage.end(await stage.next_start(), code=1)
        await trio.testing.wait_all_tasks_blocked()
        await stage.decisions.send(StopRun("SIGTERM", None))
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "stopped", "b": "stopped"}
    assert stage.outcome() == "interrupted"


async def test_what_cannot_be_started_is_retried_and_then_failed(autojump_clock: MockClock) -> None:
    async with conducted(task("a", retries=1, backoff=1.0)) as stage:
        for _ in range(2):
            await stage.end(await stage.next_start(), None, "not-started")
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "failed"}


async def test_never_more_workers_than_the_cap(autojump_clock: MockClock) -> None:
    names = [f"t{number}" for number in range(50)]
    async with conducted(*(task(name) for name in names), concurrency=3) as stage:
        running = [await stage.next_start() for _ in range(3)]
        seen = {start.task.id for start in running}
        for _ in range(47):
            await stage.end(running.pop(0))
            running.append(await stage.next_start())
            seen.add(running[-1].task.id)
            await trio.testing.wait_all_tasks_blocked()
        for start in running:
            await stage.end(start)
        await stage.empty_the_fleet()

    assert seen == set(names)


def left_after(*events: Event) -> Resumption:
    view = RunView()
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    return find_resumption(view, 2)


async def test_a_resumed_run_takes_up_what_is_open_and_starts_what_is_ready(autojump_clock: MockClock) -> None:
    left = left_after(
        run_started(*"abcd"),
        *(starting("a"), started("a"), exited("a"), status("a", "succeeded", attempt=1)),
        *(status("b", "running", attempt=1), starting("b"), started("b")),
    )
    async with conducted(task("a"), task("b"), task("c", "a"), task("d", "b"), resumption=left) as stage:
        taken, fresh = await stage.next_start(), await stage.next_start()
        await stage.end(taken)
        last = await stage.next_start()
        await stage.end(fresh)
        await stage.end(last)
        await stage.empty_the_fleet()

    assert [(each.task.id, each.attempt, each.open is None) for each in (taken, fresh, last)] == [
        ("b", 1, False),
        ("c", 1, True),
        ("d", 1, True),
    ]
    assert isinstance(stage.events[0], RunResumed)
    assert not any(isinstance(event, RunStarted) for event in stage.events)
    assert [event.task for event in stage.events if isinstance(event, TaskStatusChanged)] == list("cbdcd")
    assert stage.outcome() == "succeeded"


async def test_what_is_taken_up_holds_its_slot(autojump_clock: MockClock) -> None:
    left = left_after(run_started(*"abc"), status("a", "running", attempt=1), starting("a"), started("a"))
    async with conducted(task("a"), task("b"), task("c"), concurrency=1, resumption=left) as stage:
        for name in "abc":
            start = await stage.next_start()
            await trio.testing.wait_all_tasks_blocked()
            assert (start.task.id, stage.orders.statistics().current_buffer_used) == (name, 0)
            await stage.end(start)
        await stage.empty_the_fleet()


async def test_an_end_that_nobody_has_judged_is_judged_and_what_it_skips_is_told_once(
    autojump_clock: MockClock,
) -> None:
    left = left_after(
        run_started(*"abcd"),
        *(starting("a"), exited("a", code=1), status("a", "failed", attempt=1), status("b", "skipped")),
        *(status("c", "running", attempt=1), starting("c"), started("c"), exited("c", code=3)),
    )
    async with conducted(task("a"), task("b", "a"), task("c"), task("d", "c"), resumption=left) as stage:
        await stage.empty_the_fleet()

    changes = [(event.task, event.status) for event in stage.events if isinstance(event, TaskStatusChanged)]
    assert changes == [("c", "failed"), ("d", "skipped")]
    assert stage.outcome() == "failed"


async def test_an_attempt_that_ended_with_its_supervisor_takes_no_retry(autojump_clock: MockClock) -> None:
    left = left_after(
        run_started("a"),
        *(status("a", "running", attempt=1), starting("a"), started("a"), exited("a", code=None, reason="orphaned")),
    )
    async with conducted(task("a", retries=1), resumption=left) as stage:
        for attempt in (2, 3):
            start = await stage.next_start()
            assert start.attempt == attempt
            await stage.end(start, code=1)
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "failed"}


async def test_a_stop_that_was_asked_for_reaches_what_is_taken_up_and_starts_nothing(
    autojump_clock: MockClock,
) -> None:
    left = left_after(
        run_started("a", "b"),
        *(status("a", "running", attempt=1), starting("a"), started("a")),
        RunStopping(at=0.0, reason="SIGTERM", grace=10.0),
    )
    async with conducted(task("a"), task("b"), resumption=left) as stage:
        taken = await stage.next_start()
        assert await stage.orders.receive() == StopWorker(WorkerId("a"), 10.0, "stop")
        await stage.end(taken, code=None, reason="stop", signal="SIGTERM")
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "stopped", "b": "stopped"}
    assert stage.outcome() == "interrupted"


def service(**policy: object) -> Task:
    return task("web", backoff=5.0, restart=RestartPolicy(when="always", **policy))  # type: ignore[arg-type] # the test names the field


async def test_a_service_that_was_healthy_starts_again_in_the_moment_of_its_end(autojump_clock: MockClock) -> None:
    async with conducted(service(healthy_after=10.0)) as stage:
        first = await stage.next_start()
        await trio.sleep(10)
        ended_at = trio.current_time()
        await stage.end(first, code=1, lived=10.0)
        second = await stage.next_start()
        started_at = trio.current_time()
        await stage.decisions.send(StopRun("SIGINT", None))
        assert isinstance(await stage.orders.receive(), StopWorker)
        await stage.end(second, code=None, signal="SIGTERM", reason="stop")
        await stage.empty_the_fleet()

    changes = [event for event in stage.events if isinstance(event, TaskStatusChanged)]
    assert (second.attempt, started_at) == (2, ended_at)
    assert [change.status for change in changes] == ["running", "restarting", "running", "stopped"]
    assert (changes[1].reason, changes[1].retry_at) == ("exit code 1", ended_at)


async def test_a_crash_loop_gets_growing_pauses_and_is_parked_with_its_dependents_skipped(
    autojump_clock: MockClock,
) -> None:
    needing = task("b", "web")
    async with conducted(service(limit=3), needing) as stage:
        moments = []
        for _ in range(4):
            start = await stage.next_start()
            moments.append(trio.current_time())
            await stage.end(start, code=1)
        await stage.empty_the_fleet()

    changes = {event.task: event for event in stage.events if isinstance(event, TaskStatusChanged)}
    assert [round(later - earlier) for earlier, later in pairwise(moments)] == [5, 10, 15]
    assert changes[TaskId("web")].status == "parked"
    assert changes[TaskId("web")].reason == "exit code 1, after 3 restarts within 1m; correct it and run it again"
    assert changes[TaskId("b")].reason == 'needs "web", which was parked'
    assert stage.outcome() == "failed"


async def test_a_service_keeps_its_slot_between_two_attempts(autojump_clock: MockClock) -> None:
    async with conducted(service(limit=1), task("waiting"), concurrency=1) as stage:
        await stage.end(await stage.next_start(), code=1)
        second = await stage.next_start()
        await stage.end(second, code=1)
        waiting = await stage.next_start()
        await stage.end(waiting)
        await stage.empty_the_fleet()

    assert [second.task.id, waiting.task.id] == ["web", "waiting"]


async def test_a_stop_ends_a_service_that_waits_for_its_restart(autojump_clock: MockClock) -> None:
    async with conducted(service()) as stage:
        await stage.end(await stage.next_start(), code=1)
        await stage.decisions.send(StopRun("SIGINT", None))
        await stage.empty_the_fleet()

    assert stage.statuses() == {"web": "stopped"}
    assert trio.current_time() < 5.0


async def test_who_was_not_started_was_not_healthy_however_long_that_took(autojump_clock: MockClock) -> None:
    async with conducted(service(limit=1)) as stage:
        first = await stage.next_start()
        await trio.sleep(100)
        await stage.end(first, code=None, reason="not-started", lived=100.0)
        ended_at = trio.current_time()
        await stage.end(await stage.next_start(), code=0)
        restarted_at = trio.current_time()
        await stage.empty_the_fleet()

    assert restarted_at - ended_at == 5.0


async def test_a_service_that_waited_for_its_restart_still_does_in_a_resumed_run_and_who_was_parked_stays_so(
    autojump_clock: MockClock,
) -> None:
    waiting = msgspec.structs.replace(status("web", "restarting", attempt=1), retry_at=7.0)
    left = left_after(
        run_started("web", "a", "b"),
        *(status("web", "running", attempt=1), starting("web"), exited("web", code=1), waiting),
        *(starting("a"), exited("a", code=1), status("a", "parked", attempt=1)),
    )
    async with conducted(service(limit=1), task("a"), task("b"), concurrency=1, resumption=left) as stage:
        again = await stage.next_start()
        began = trio.current_time()
        await stage.end(again, code=1)
        await stage.end(await stage.next_start(), code=1)
        last = await stage.next_start()
        await stage.end(last)
        await stage.empty_the_fleet()

    assert (again.task.id, again.attempt, began) == ("web", 2, 7.0)
    assert last.task.id == "b"
    assert stage.statuses() == {"web": "parked", "b": "succeeded"}
    assert stage.outcome() == "failed"


def _told(stage: Stage, name: str) -> list[tuple[str, str]]:
    changes = [event for event in stage.events if isinstance(event, TaskStatusChanged) and event.task == name]
    return [(event.status, event.reason) for event in changes]


async def test_on_a_machine_without_memory_one_worker_runs_at_a_time_and_the_others_tell_why(
    autojump_clock: MockClock,
) -> None:
    reason = "waits: 212 MB of memory free, 512 MB wanted"
    machine = Machine(free_memory=212 * _MB)
    async with conducted(task("a"), task("b"), task("c"), concurrency=2, machine=lambda: machine) as stage:
        for _ in "abc":
            start = await stage.next_start()
            await trio.sleep(60)
            with pytest.raises(trio.WouldBlock):
                stage.orders.receive_nowait()
            await stage.end(start)
        await stage.empty_the_fleet()

    assert _told(stage, "b") == [("pending", reason), ("running", ""), ("succeeded", "")]
    assert _told(stage, "c") == [("pending", reason), ("running", ""), ("succeeded", "")]
    assert stage.outcome() == "succeeded"


async def test_who_waits_for_memory_starts_within_a_second_after_there_is_some(autojump_clock: MockClock) -> None:
    seen = [Machine(free_memory=100 * _MB)]
    async with conducted(task("a"), task("b"), task("c"), machine=lambda: seen[-1]) as stage:
        a = await stage.next_start()
        await trio.sleep(9.5)
        seen.append(Machine(free_memory=9000 * _MB))
        began = trio.current_time()
        b, c = await stage.next_start(), await stage.next_start()
        waited = trio.current_time() - began
        for start in (a, b, c):
            await stage.end(start)
        await stage.empty_the_fleet()

    assert waited <= 1
    assert [start.task.id for start in (a, b, c)] == ["a", "b", "c"]


async def test_with_little_memory_workers_start_one_after_the_other(autojump_clock: MockClock) -> None:
    async with conducted(*map(task, "abcd"), machine=lambda: Machine(free_memory=600 * _MB)) as stage:
        moments = []
        starts = []
        for _ in "abcd":
            starts.append(await stage.next_start())
            moments.append(trio.current_time())
        for start in starts:
            await stage.end(start)
        await stage.empty_the_fleet()

    assert [later - earlier for earlier, later in pairwise(moments)] == pytest.approx([1.0, 1.0, 1.0])


async def test_a_retry_waits_for_the_machine_too_and_says_why(autojump_clock: MockClock) -> None:
    seen = [Machine()]
    async with conducted(task("a", retries=1, backoff=5.0), task("b"), machine=lambda: seen[-1]) as stage:
        a, b = await stage.next_start(), await stage.next_start()
        seen.append(Machine(memory_pressure=70.0))
        await stage.end(a, code=1)
        await trio.sleep(60)
        seen.append(Machine(memory_pressure=10.0))
        again = await stage.next_start()
        await stage.end(again)
        await stage.end(b)
        await stage.empty_the_fleet()

    waits = "waits: programs wait for memory 70% of the time, 40% allowed"
    assert _told(stage, "a")[1:4] == [("retrying", "exit code 1"), ("retrying", waits), ("running", "")]


async def test_who_no_longer_waits_for_the_machine_but_for_a_slot_is_told_so(autojump_clock: MockClock) -> None:
    waits = "waits: 100 MB of memory free, 512 MB wanted"
    plan = (task("a"), task("b", "a"), task("c", "a"), task("d"))
    async with conducted(*plan, concurrency=2, machine=lambda: Machine(free_memory=100 * _MB)) as stage:
        for _ in plan:
            await stage.end(await stage.next_start())
        await stage.empty_the_fleet()

    assert _told(stage, "c")[:2] == [("pending", waits), ("running", "")]
    assert _told(stage, "d")[:4] == [("pending", waits), ("pending", ""), ("pending", waits), ("running", "")]


async def test_a_stop_ends_the_waiting_for_the_machine(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), task("b"), machine=lambda: Machine(free_memory=0)) as stage:
        a = await stage.next_start()
        await trio.sleep(5)
        await stage.decisions.send(StopRun("SIGINT", None))
        await stage.orders.receive()
        await stage.end(a, None, "stop", "SIGTERM")
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "stopped", "b": "stopped"}


def _remedy(action: Literal["restart", "fail"], attempt: int = 1) -> Remedy:
    return Remedy(TaskId("a"), attempt, action, "silent for 5m")


async def test_a_stalled_worker_that_is_to_be_restarted_uses_up_no_retry(autojump_clock: MockClock) -> None:
    async with conducted(task("a", retries=1, grace=3.0)) as stage:
        first = await stage.next_start()
        await stage.decisions.send(_remedy("restart"))
        stop = await stage.orders.receive()
        await stage.end(first, None, "stalled", "SIGTERM")
        await stage.end(await stage.next_start(), 1)
        await stage.end(await stage.next_start())
        await stage.empty_the_fleet()

    assert stop == StopWorker(WorkerId("a"), 3.0, "stalled")
    changes = [event for event in stage.events if isinstance(event, TaskStatusChanged)]
    assert [(change.status, change.reason) for change in changes] == [
        ("running", ""),
        ("retrying", "stalled: silent for 5m; killed by SIGTERM"),
        ("running", ""),
        ("retrying", "exit code 1"),
        ("running", ""),
        ("succeeded", ""),
    ]


@pytest.mark.parametrize("service", [False, True])
async def test_a_stalled_worker_that_is_given_up_fails_whatever_tries_are_left(
    autojump_clock: MockClock, service: bool
) -> None:
    again: dict[str, object] = {"restart": RestartPolicy(when="always")} if service else {"retries": 5}
    async with conducted(task("a", **again)) as stage:
        first = await stage.next_start()
        await stage.decisions.send(_remedy("fail"))
        await stage.orders.receive()
        await stage.end(first, None, "stalled", "SIGKILL")
        await stage.empty_the_fleet()

    last = [event for event in stage.events if isinstance(event, TaskStatusChanged)][-1]
    assert (last.status, last.reason) == ("failed", "stalled: silent for 5m; killed by SIGKILL")


async def test_a_stalled_worker_that_ends_by_itself_meanwhile_is_judged_by_that(autojump_clock: MockClock) -> None:
    async with conducted(task("a")) as stage:
        first = await stage.next_start()
        await stage.decisions.send(_remedy("fail"))
        await stage.orders.receive()
        await stage.end(first, 0)
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "succeeded"}


async def test_a_remedy_for_another_attempt_or_during_a_stop_changes_nothing(autojump_clock: MockClock) -> None:
    async with conducted(task("a")) as stage:
        first = await stage.next_start()
        await stage.decisions.send(_remedy("fail", attempt=2))
        await stage.decisions.send(StopRun("SIGINT", None))
        stop = await stage.orders.receive()
        await stage.decisions.send(_remedy("fail"))
        await stage.end(first, None, "stop", "SIGTERM")
        await stage.empty_the_fleet()

    assert stop == StopWorker(WorkerId("a"), 10.0, "stop")
    assert stage.statuses() == {"a": "stopped"}


def _given(name: str, attempt: int = 1) -> TaskOutput:
    return TaskOutput(at=0, task=TaskId(name), attempt=attempt, form="json", bytes=1, sha256="", path="x")


async def test_who_uses_an_output_gets_it_and_nobody_else_does(autojump_clock: MockClock) -> None:
    giver = task("a", output=Output(kind="stdout-json"))
    async with conducted(giver, task("b", "a", uses=(TaskId("a"),)), task("c", "a")) as stage:
        await stage.end(await stage.next_start(), output=_given("a"))
        b, c = await stage.next_start(), await stage.next_start()
        await stage.end(b)
        await stage.end(c)
        await stage.empty_the_fleet()

    assert (b.outputs, c.outputs) == ((_given("a"),), ())
    assert isinstance(stage.events[0], RunStarted)
    assert stage.events[0].givers == (TaskId("a"),)


async def test_an_output_that_is_not_accepted_is_a_failed_attempt_and_the_next_one_knows_why(
    autojump_clock: MockClock,
) -> None:
    async with conducted(task("a", retries=2, output=Output(kind="stdout-json"))) as stage:
        starts = [await stage.next_start()]
        await stage.end(starts[0], reason="output")
        starts.append(await stage.next_start())
        await stage.end(starts[1], 3)
        starts.append(await stage.next_start())
        await stage.end(starts[2], output=_given("a", 3))
        await stage.empty_the_fleet()

    assert [start.failure for start in starts] == [
        None,
        Failure("output: ", of_output=True),
        Failure("exit code 3", of_output=False),
    ]
    assert stage.statuses() == {"a": "succeeded"}


async def test_a_giver_that_was_allowed_to_fail_gives_nothing(autojump_clock: MockClock) -> None:
    giver = task("a", allow_failure=True, output=Output(kind="stdout-json"))
    async with conducted(giver, task("b", "a", uses=(TaskId("a"),))) as stage:
        await stage.end(await stage.next_start(), reason="output")
        b = await stage.next_start()
        await stage.end(b)
        await stage.empty_the_fleet()

    assert b.outputs == ()


async def test_who_goes_on_with_a_run_has_what_was_given_and_why_the_last_attempt_failed(
    autojump_clock: MockClock,
) -> None:
    view = RunView()
    events = [
        run_started("a", "b"),
        *(status("a", "running", attempt=1), starting("a"), started("a"), _given("a"), exited("a")),
        *(status("b", "running", attempt=1), starting("b"), started("b"), exited("b", reason="output")),
        TaskStatusChanged(at=0, task=TaskId("b"), status="retrying", attempt=1, reason="output: x", retry_at=0),
    ]
    for seq, event in enumerate(events, 1):
        view.apply(Record(seq, event))
    giver = task("a", output=Output(kind="stdout-json"))
    tasks = (giver, task("b", retries=1), task("c", "a", uses=(TaskId("a"),)))
    async with conducted(*tasks, resumption=find_resumption(view, 2)) as stage:
        found = {start.task.id: start for start in [await stage.next_start(), await stage.next_start()]}
        for start in found.values():
            await stage.end(start)
        await stage.empty_the_fleet()

    assert found[TaskId("c")].outputs == (_given("a"),)
    assert found[TaskId("b")].failure == Failure("output: x", of_output=True)
