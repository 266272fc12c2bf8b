"""The layers of `supervisor.layers`: order of ending, drain, errors, emergencies."""

import logging
import math
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from supervisor.layers import layer


class Story:
    """What happened, in order, and actors that tell it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def consumer(
        self,
        name: str,
        inbox: trio.MemoryReceiveChannel[str],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Note each message, and return when the senders are gone."""
        task_status.started()
        try:
            async for message in inbox:
                self.lines.append(f"{name} got {message}")
        finally:
            self.lines.append(f"{name} ended")

    async def sleeper(
        self,
        name: str,
        seconds: float,
        say: Callable[[str], None] = lambda _: None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        task_status.started()
        try:
            await trio.sleep(seconds)
            say(f"last words of {name}")
        except trio.Cancelled as exc:
            self.lines.append(f"{name} cancelled: {exc.reason}")
            say(f"dying words of {name}")
            raise
        else:
            self.lines.append(f"{name} done")


@pytest.fixture
def story() -> Story:
    return Story()


async def test_layers_end_from_the_inside_and_each_drains_what_the_inner_one_sent(
    autojump_clock: MockClock, story: Story
) -> None:
    records, hub_inbox = trio.open_memory_channel[str](10)
    events, journal_inbox = trio.open_memory_channel[str](10)

    async with layer(drain=5) as publishing:
        await publishing.start(story.consumer, "hub", hub_inbox)
        async with layer(records, drain=5) as keeping:
            await keeping.start(story.consumer, "journal", journal_inbox)
            async with layer(events, drain=5) as working:
                await working.start(story.sleeper, "worker", 2, events.send_nowait)
        records_closed = records._closed

    assert records_closed
    assert story.lines == ["worker done", "journal got last words of worker", "journal ended", "hub ended"]


async def test_an_actor_gets_its_time_and_is_then_cancelled_with_a_reason(
    autojump_clock: MockClock, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    started = trio.current_time()

    with caplog.at_level(logging.WARNING):
        async with layer(drain=7) as actors:
            await actors.start(story.sleeper, "slow", 100)
            await actors.start(story.sleeper, "quick", 3)

    assert trio.current_time() - started == 7
    assert story.lines == ["quick done", "slow cancelled: not done 7 s after the layer inside ended"]
    assert "sleeper" in caplog.text


async def test_outboxes_stay_open_until_the_actors_are_gone(autojump_clock: MockClock, story: Story) -> None:
    outbox, inbox = trio.open_memory_channel[str](10)

    async with layer(outbox, drain=0) as actors:
        await actors.start(story.sleeper, "writer", 100, outbox.send_nowait)

    assert [message async for message in inbox] == ["dying words of writer"]


async def test_an_error_of_the_body_lets_the_actors_drain_and_comes_out(
    autojump_clock: MockClock, story: Story
) -> None:
    outbox, inbox = trio.open_memory_channel[str](10)

    with pytest.RaisesGroup(ValueError):
        async with layer(outbox, drain=5) as actors:
            await actors.start(story.sleeper, "worker", 3, outbox.send_nowait)
            raise ValueError("of the body")

    assert story.lines == ["worker done"]
    assert [message async for message in inbox] == ["last words of worker"]


async def test_a_failing_actor_cancels_its_layer_and_those_inside_while_those_around_drain(
    autojump_clock: MockClock, story: Story
) -> None:
    events, journal_inbox = trio.open_memory_channel[str](10)
    commands, worker_inbox = trio.open_memory_channel[str](10)

    async def fail(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep(1)
        raise ValueError("of an actor")

    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with layer(drain=5) as keeping:
            await keeping.start(story.consumer, "journal", journal_inbox)
            async with layer(events, drain=5) as working:
                await working.start(fail)
                await working.start(story.sleeper, "worker", 50, events.send_nowait)
                async with layer(commands, drain=5) as deciding:
                    await deciding.start(story.sleeper, "orchestrator", 50, commands.send_nowait)
                    await trio.sleep_forever()

    assert sorted(story.lines) == [
        "journal ended",
        "journal got dying words of worker",
        "orchestrator cancelled: cancelled from outside",
        "worker cancelled: child task raised exception ValueError('of an actor')",
    ]
    assert story.lines[-1] == "journal ended"
    assert worker_inbox.receive_nowait() == "dying words of orchestrator"


async def test_cancelled_from_outside_everything_ends_at_once_and_still_in_order(
    story: Story, autojump_clock: MockClock
) -> None:
    records, hub_inbox = trio.open_memory_channel[str](10)
    events, journal_inbox = trio.open_memory_channel[str](10)
    started = trio.current_time()

    with trio.move_on_after(10) as emergency:
        async with layer(drain=1000) as publishing:
            await publishing.start(story.consumer, "hub", hub_inbox)
            async with layer(records, drain=1000) as keeping:
                await keeping.start(story.sleeper, "journal", 2000, records.send_nowait)
                async with layer(events, drain=1000) as working:
                    await working.start(story.sleeper, "worker", 2000, events.send_nowait)
                    await trio.sleep_forever()

    assert emergency.cancelled_caught
    assert trio.current_time() - started == 10
    assert story.lines == [
        "worker cancelled: cancelled from outside",
        "journal cancelled: cancelled from outside",
        "hub got dying words of journal",
        "hub ended",
    ]
    assert journal_inbox.receive_nowait() == "dying words of worker"
    assert events._closed
    assert records._closed


async def test_an_actor_that_cannot_start_is_an_error_of_the_body_and_closes_the_outboxes(
    autojump_clock: MockClock,
) -> None:
    outbox, inbox = trio.open_memory_channel[str](1)

    async def unable(*, task_status: trio.TaskStatus[None]) -> None:
        raise ValueError("no port")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="no port")):
        async with layer(outbox, drain=5) as actors:
            await actors.start(unable)

    assert [message async for message in inbox] == []


async def test_a_drain_without_end_can_be_cancelled_from_outside(autojump_clock: MockClock, story: Story) -> None:
    with trio.move_on_after(1000) as scope:
        async with layer(drain=math.inf) as actors:
            await actors.start(story.sleeper, "a", 5000)

    assert scope.cancelled_caught
    assert len(story.lines) == 1 and story.lines[0].startswith("a cancelled")
