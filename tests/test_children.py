"""Restarts: pauses, limit, escalation, parking, what is reported."""

import logging
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from protocols.errors import RestartLimitError
from protocols.fleet_events import ActorFailed
from supervisor.children import Child, supervise


class Actor:
    """Does in each run what its script says: live for some time, then fail or return."""

    def __init__(self, *script: tuple[float, Exception | None], ready: bool = True) -> None:
        self.script = list(script)
        self.ready = ready
        self.starts: list[float] = []

    async def run(self, *, task_status: trio.TaskStatus[str]) -> None:
        self.starts.append(trio.current_time())
        lifetime, failure = self.script.pop(0)
        if self.ready:
            task_status.started("ready")
        await trio.sleep(lifetime)
        if failure is not None:
            raise failure


class Reports:
    def __init__(self) -> None:
        self.events: list[ActorFailed] = []

    async def take(self, event: ActorFailed) -> None:
        self.events.append(event)


FAILURE = ValueError("broken")


async def test_an_actor_that_returns_is_not_started_again(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    actor = Actor((5, None))

    value = await nursery.start(supervise, Child("it", actor.run))
    await trio.sleep(100)

    assert value == "ready"
    assert len(actor.starts) == 1


async def test_the_first_restart_comes_at_once_and_the_next_pauses_double_with_jitter(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    actor = Actor(*[(1, FAILURE)] * 5, (1, None))
    reports = Reports()

    await nursery.start(supervise, Child("it", actor.run, limit=5, first_pause=2, longest_pause=5), reports.take)
    await trio.sleep(1000)

    pauses = [later - earlier - 1 for earlier, later in zip(actor.starts, actor.starts[1:], strict=False)]
    assert [event.restart_in for event in reports.events] == pytest.approx(pauses)
    assert pauses[0] == 0
    for pause, longest in zip(pauses[1:], [2, 4, 5, 5], strict=True):
        assert longest / 2 <= pause <= longest


async def test_a_failure_is_reported_and_logged(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    group = ExceptionGroup("two", [ValueError("one"), ExceptionGroup("deeper", [OSError("other")])])
    actor = Actor((1, group), (1, None))
    reports = Reports()

    with caplog.at_level(logging.ERROR):
        await nursery.start(supervise, Child("it", actor.run), reports.take, lambda: 7.0)
        await trio.sleep(10)

    assert reports.events == [
        ActorFailed(at=7.0, actor="it", error="ValueError: one; OSError: other", restart_in=0.0),
    ]
    assert [entry.message for entry in caplog.records] == ["actor it failed and is restarted in 0.00 s"]
    assert caplog.records[0].exc_info is not None


async def test_over_the_limit_the_error_ends_the_nursery_around(autojump_clock: MockClock) -> None:
    actor = Actor(*[(1, FAILURE)] * 3)
    reports = Reports()

    with pytest.RaisesGroup(pytest.RaisesExc(RestartLimitError, match='actor "it": failed after 2 restarts')) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(supervise, Child("it", actor.run, limit=2), reports.take)
            await trio.sleep_forever()

    assert caught.value.exceptions[0].__cause__ is FAILURE
    assert len(actor.starts) == 3
    assert reports.events[-1].restart_in is None


async def test_an_actor_that_is_never_restarted_is_not_said_to_have_been(autojump_clock: MockClock) -> None:
    actor = Actor((1, FAILURE))

    message = 'actor "it": failed with ValueError: broken; the log has the details'
    with pytest.RaisesGroup(pytest.RaisesExc(RestartLimitError, match=f"^{message}$")):
        async with trio.open_nursery() as nursery:
            await nursery.start(supervise, Child("it", actor.run, limit=0))


async def test_over_the_limit_an_actor_can_be_parked_and_the_others_go_on(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    actor = Actor(*[(1, FAILURE)] * 2)
    reports = Reports()

    await nursery.start(supervise, Child("display", actor.run, limit=1, when_exhausted="park"), reports.take)
    await trio.sleep(1000)

    assert [event.restart_in for event in reports.events] == [0.0, None]


async def test_rare_failures_never_reach_the_limit(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    actor = Actor(*[(100, FAILURE)] * 20, (1, None))

    await nursery.start(supervise, Child("it", actor.run, limit=1, window=60))
    await trio.sleep(10_000)

    assert len(actor.starts) == 21
    assert all(later - earlier == 100 for earlier, later in zip(actor.starts[:20], actor.starts[1:], strict=False))


async def test_a_failure_before_it_was_ready_is_raised_as_it_is_and_not_retried(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    actor = Actor((1, FAILURE), ready=False)
    reports = Reports()

    with pytest.raises(ValueError, match="broken") as caught:
        await nursery.start(supervise, Child("it", actor.run), reports.take)

    assert caught.value is FAILURE
    assert len(actor.starts) == 1
    assert reports.events == []


async def test_a_restart_that_does_not_become_ready_is_one_more_failure(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    actor = Actor((1, FAILURE), (1, FAILURE), (1, None))
    await nursery.start(supervise, Child("it", actor.run))

    actor.ready = False
    await trio.sleep(1000)

    assert len(actor.starts) == 3


@pytest.mark.parametrize("moment", [0.5, 1.2])
async def test_a_cancellation_goes_through_while_it_runs_and_while_it_pauses(
    autojump_clock: MockClock, moment: float
) -> None:
    actor = Actor(*[(0.4, FAILURE)] * 4)

    with trio.move_on_after(moment) as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(supervise, Child("it", actor.run, first_pause=100, longest_pause=100))

    assert scope.cancelled_caught
    assert len(actor.starts) == 2


async def test_a_cancellation_mixed_with_an_error_goes_through(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Whatever an actor breaks while it is being cancelled, it is not started again."""
    starts = 0

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal starts
        starts += 1
        task_status.started()
        async with trio.open_nursery() as inner:
            inner.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise FAILURE

    with pytest.RaisesGroup(ValueError, flatten_subgroups=True), trio.move_on_after(1):
        async with trio.open_nursery() as outer:
            await outer.start(supervise, Child("it", run))

    assert starts == 1


async def never(_: ActorFailed) -> None:
    await trio.sleep_forever()


async def closed(_: ActorFailed) -> None:
    raise trio.BrokenResourceError


@pytest.mark.parametrize(("report", "delay"), [(never, 1.0), (closed, 0.0)])
async def test_a_report_that_nobody_takes_does_not_stop_the_restart(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    report: Callable[[ActorFailed], Awaitable[None]],
    delay: float,
    caplog: pytest.LogCaptureFixture,
) -> None:
    actor = Actor((1, FAILURE), (1, None))

    await nursery.start(supervise, Child("journal", actor.run), report)
    await trio.sleep(1000)

    assert actor.starts[1] - actor.starts[0] == pytest.approx(1 + delay)
    assert "the failure of actor journal could not be reported" in caplog.text
