"""What somebody outside wants of the tasks of a run, against an orchestrator whose roster the test plays."""

import math
from collections.abc import Callable

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.orders import AddTasks, BeginAgain, EndTask, RetryOnce, StopRun, StopWorker, Wish
from protocols.events import RunEnded
from protocols.ids import TaskId
from protocols.restarts import RestartPolicy
from protocols.task_events import TasksSubmitted
from tests.test_orchestrator import Stage, conducted, task

A, B = TaskId("a"), TaskId("b")


async def wish(stage: Stage, make: Callable[[trio.MemorySendChannel[str]], Wish]) -> str:
    """Why it is not granted; empty where it is."""
    send, receive = trio.open_memory_channel[str](1)
    await stage.decisions.send(make(send))
    return await receive.receive()


async def stop(stage: Stage) -> None:
    await stage.decisions.send(StopRun("the test ends", None))
    await stage.empty_the_fleet()


async def test_a_standing_plan_begins_without_tasks_and_runs_those_that_come(autojump_clock: MockClock) -> None:
    async with conducted(standing=True) as stage:
        await trio.sleep(1000)
        assert await wish(stage, lambda answer: AddTasks((task("a", role="checker", timeout=9.0),), answer)) == ""
        await stage.end(await stage.next_start())
        await trio.sleep(1000)
        assert not [event for event in stage.events if isinstance(event, RunEnded)]
        assert await wish(stage, lambda answer: AddTasks((task("b"),), answer)) == ""
        await stage.end(await stage.next_start())
        await wait_all_tasks_blocked()
        await stop(stage)

    submitted = [event for event in stage.events if isinstance(event, TasksSubmitted)]
    assert [event.tasks for event in submitted] == [("a",), ("b",)]
    assert (submitted[0].roles, submitted[0].timeouts) == ({"a": "checker"}, {"a": 9.0})
    assert stage.statuses() == {"a": "succeeded", "b": "succeeded"}
    kinds = [type(event).__name__ for event in stage.events if getattr(event, "task", A) == A]
    assert kinds.index("TasksSubmitted") < kinds.index("TaskStatusChanged")


async def test_an_id_that_is_taken_and_a_plan_that_does_not_stand_take_no_task(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), standing=True) as stage:
        taken = await wish(stage, lambda answer: AddTasks((task("a"),), answer))
        await stage.end(await stage.next_start())
        await wait_all_tasks_blocked()
        await stop(stage)
    async with conducted(task("a")) as stage:
        fixed = await wish(stage, lambda answer: AddTasks((task("b"),), answer))
        await stage.end(await stage.next_start())
        await stage.empty_the_fleet()

    assert 'task "a": there is one with this id already' in taken
    assert "takes no others" in fixed


async def test_the_end_of_a_task_that_somebody_wants_is_followed_by_nothing(autojump_clock: MockClock) -> None:
    service = task("a", restart=RestartPolicy(when="always"), retries=0)
    async with conducted(service, task("b", retries=5)) as stage:
        a, b = await stage.next_start(), await stage.next_start()
        assert await wish(stage, lambda answer: EndTask(A, 2.5, "enough", answer)) == ""
        first = await stage.orders.receive()
        await stage.end(a, reason="stop", code=None, signal="SIGTERM")
        assert await wish(stage, lambda answer: EndTask(B, None, "enough", answer)) == ""
        second = await stage.orders.receive()
        await stage.end(b, code=7)  # it ended by itself just then
        await stage.empty_the_fleet()

    assert first == StopWorker("a", 2.5, "stop", "enough")  # type: ignore[arg-type]
    assert second == StopWorker("b", 10.0, "stop", "enough")  # type: ignore[arg-type]
    assert stage.statuses() == {"a": "stopped", "b": "failed"}


async def test_a_task_that_waits_is_cancelled_and_never_started(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), task("b"), task("c", "b"), concurrency=1) as stage:
        a = await stage.next_start()
        assert await wish(stage, lambda answer: EndTask(B, None, "not needed", answer)) == ""
        again = await wish(stage, lambda answer: EndTask(B, None, "not needed", answer))
        await stage.end(a)
        await stage.empty_the_fleet()

    assert 'task "b": it is stopped' in again
    assert stage.statuses() == {"a": "succeeded", "b": "stopped", "c": "stopped"}
    assert stage.reasons()["b"] == "not needed"


async def test_a_task_between_two_attempts_is_cancelled_too(autojump_clock: MockClock) -> None:
    async with conducted(task("a", retries=3, backoff=math.inf)) as stage:
        await stage.end(await stage.next_start(), code=1)
        await wait_all_tasks_blocked()
        assert await wish(stage, lambda answer: EndTask(A, None, "enough", answer)) == ""
        await stage.empty_the_fleet()

    assert stage.statuses() == {"a": "stopped"}


async def test_another_attempt_begins_when_the_one_before_has_ended_and_costs_no_retry(
    autojump_clock: MockClock,
) -> None:
    async with conducted(task("a", retries=1)) as stage:
        first = await stage.next_start()
        assert await wish(stage, lambda answer: BeginAgain(A, 0.0, None, answer)) == ""
        assert await stage.orders.receive() == StopWorker("a", 0.0, "stop", "restarted by a client")  # type: ignore[arg-type]
        await stage.end(first, reason="stop", code=None, signal="SIGKILL")
        second = await stage.next_start()
        await stage.end(second, code=1)
        third = await stage.next_start()
        await stage.end(third)
        await stage.empty_the_fleet()

    assert (second.attempt, third.attempt) == (2, 3)
    assert stage.statuses() == {"a": "succeeded"}


async def test_nothing_is_granted_once_the_run_is_being_stopped(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), standing=True) as stage:
        a = await stage.next_start()
        await stage.decisions.send(StopRun("the test ends", None))
        await stage.orders.receive()
        late = await wish(stage, lambda answer: AddTasks((task("b"),), answer))
        again = await wish(stage, lambda answer: BeginAgain(A, None, None, answer))
        await stage.end(a, reason="stop", code=None, signal="SIGTERM")
        await stage.empty_the_fleet()

    assert late == again == "the run is ending and takes no more commands"
    assert stage.statuses() == {"a": "stopped"}


async def test_a_task_that_failed_is_retried_with_what_was_skipped_for_it(autojump_clock: MockClock) -> None:
    async with conducted(task("a", retries=1), task("b", "a"), task("c")) as stage:
        a, c = await stage.next_start(), await stage.next_start()
        await stage.end(a, code=1)
        await stage.end(await stage.next_start(), code=1)
        await wait_all_tasks_blocked()
        assert stage.statuses() == {"a": "failed", "b": "skipped", "c": "running"}
        assert await wish(stage, lambda answer: RetryOnce(A, None, answer)) == ""
        third = await stage.next_start()
        await stage.end(third, code=1)  # its retries count anew
        fourth = await stage.next_start()
        await stage.end(fourth)
        await stage.end(await stage.next_start())
        await stage.end(c)
        await stage.empty_the_fleet()

    assert (third.attempt, fourth.attempt, fourth.failure is not None) == (3, 4, True)
    assert stage.statuses() == {"a": "succeeded", "b": "succeeded", "c": "succeeded"}
    assert stage.outcome() == "succeeded"


async def test_what_succeeded_or_waits_or_was_skipped_is_not_retried(autojump_clock: MockClock) -> None:
    async with conducted(task("a"), task("b", "d"), task("c"), task("d"), concurrency=2) as stage:
        first, c = await stage.next_start(), await stage.next_start()
        await stage.end(first)
        d = await stage.next_start()
        succeeded = await wish(stage, lambda answer: RetryOnce(A, None, answer))
        waits = await wish(stage, lambda answer: RetryOnce(B, None, answer))
        await stage.end(d, code=1)
        await wait_all_tasks_blocked()
        skipped = await wish(stage, lambda answer: RetryOnce(B, None, answer))
        await stage.end(c)
        await stage.empty_the_fleet()

    assert succeeded == 'task "a": it is succeeded'
    assert waits == 'task "b": it is pending'
    assert skipped == 'task "b": it was skipped; retry what it needs'


async def test_a_restart_of_what_is_over_or_waits_begins_at_once(autojump_clock: MockClock) -> None:
    async with conducted(task("a", retries=1, backoff=1e6), task("b")) as stage:
        a, b = await stage.next_start(), await stage.next_start()
        await stage.end(a, code=1)
        await wait_all_tasks_blocked()
        assert await wish(stage, lambda answer: BeginAgain(A, None, None, answer)) == ""
        await stage.end(await stage.next_start())
        await wait_all_tasks_blocked()
        assert await wish(stage, lambda answer: BeginAgain(A, None, None, answer)) == ""
        third = await stage.next_start()
        await stage.end(third)
        await stage.end(b)
        await stage.empty_the_fleet()

    assert third.attempt == 3
    assert stage.statuses() == {"a": "succeeded", "b": "succeeded"}
