"""The hub: order, slow and gone subscribers, the end, a restart."""

from typing import TypeAlias

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.hub import Hub
from actors.messages import Lagged, Subscribe
from protocols.events import Record
from protocols.fleet_events import KeeperStarted

Messages: TypeAlias = trio.MemoryReceiveChannel[Record | Lagged]


def record(seq: int) -> Record:
    return Record(seq, KeeperStarted(at=0.0, pid=seq, generation=1))


class Rig:
    """A running hub with both its channels."""

    def __init__(self) -> None:
        self.inbox, records = trio.open_memory_channel[Record](100)
        self.requests, requests = trio.open_memory_channel[Subscribe](10)
        self.hub = Hub(inbox=records, requests=requests)

    async def subscribe(self, buffer: int) -> Messages:
        outbox, messages = trio.open_memory_channel[Record | Lagged](buffer)
        registered = trio.Event()
        await self.requests.send(Subscribe(outbox, registered))
        await registered.wait()
        return messages

    async def publish(self, *numbers: int) -> None:
        for seq in numbers:
            await self.inbox.send(record(seq))
        await wait_all_tasks_blocked()


def take(messages: Messages) -> list[Record | Lagged]:
    taken: list[Record | Lagged] = []
    while messages.statistics().current_buffer_used:
        taken.append(messages.receive_nowait())
    return taken


async def test_every_subscriber_gets_every_record_from_its_subscription_on(nursery: trio.Nursery) -> None:
    rig = Rig()
    await nursery.start(rig.hub.run)

    early = await rig.subscribe(10)
    await rig.publish(1)
    late = await rig.subscribe(10)
    await rig.publish(2, 3)
    rig.inbox.close()

    assert [message async for message in early] == [record(1), record(2), record(3)]
    assert [message async for message in late] == [record(2), record(3)]


async def test_a_slow_subscriber_is_told_where_its_gap_begins_and_gets_what_comes_later(
    nursery: trio.Nursery,
) -> None:
    rig = Rig()
    await nursery.start(rig.hub.run)
    slow, quick = await rig.subscribe(3), await rig.subscribe(100)

    await rig.publish(1, 2, 3, 4, 5)
    first = take(slow)
    await rig.publish(6)

    assert first == [record(1), record(2), Lagged(3)]
    assert take(slow) == [record(6)]
    assert take(quick) == [record(seq) for seq in range(1, 7)]


async def test_a_gap_is_declared_although_nothing_comes_after_it(nursery: trio.Nursery) -> None:
    rig = Rig()
    await nursery.start(rig.hub.run)
    slow = await rig.subscribe(2)

    await rig.publish(1, 2)
    rig.inbox.close()

    assert [message async for message in slow] == [record(1), Lagged(2)]


async def test_a_subscriber_that_is_gone_is_forgotten(nursery: trio.Nursery) -> None:
    rig = Rig()
    await nursery.start(rig.hub.run)
    gone, other = await rig.subscribe(5), await rig.subscribe(5)

    gone.close()
    await rig.publish(1)
    quiet = await rig.subscribe(5)
    quiet.close()
    await rig.subscribe(5)

    assert take(other) == [record(1)]
    assert len(rig.hub._subscribers) == 2


async def test_who_comes_when_it_is_over_is_not_left_waiting(nursery: trio.Nursery) -> None:
    rig = Rig()
    await nursery.start(rig.hub.run)
    outbox, messages = trio.open_memory_channel[Record | Lagged](2)
    registered = trio.Event()

    rig.inbox.close()
    rig.requests.send_nowait(Subscribe(outbox, registered))

    await registered.wait()
    assert [message async for message in messages] == []
    with pytest.raises(trio.BrokenResourceError):
        await rig.requests.send(Subscribe(trio.open_memory_channel[Record | Lagged](2)[0]))


async def test_a_restart_forgets_nobody(nursery: trio.Nursery) -> None:
    rig = Rig()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as first:
            await first.start(rig.hub.run)
            messages = await rig.subscribe(5)
            scope.cancel(reason="as if it had failed")
    rig.inbox.send_nowait(record(1))

    await nursery.start(rig.hub.run)
    rig.inbox.close()

    assert [message async for message in messages] == [record(1)]


async def test_it_works_on_when_nobody_can_ask_any_more(nursery: trio.Nursery) -> None:
    rig = Rig()
    await nursery.start(rig.hub.run)
    messages = await rig.subscribe(5)

    rig.requests.close()
    await rig.publish(1)
    rig.inbox.close()

    assert [message async for message in messages] == [record(1)]


def test_a_buffer_without_room_for_the_warning_is_a_mistake_of_the_subscriber() -> None:
    with pytest.raises(ValueError, match="two messages or more"):
        Subscribe(trio.open_memory_channel[Record | Lagged](1)[0])


@given(st.integers(2, 6), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
def test_no_record_is_missing_between_those_received_unless_it_was_declared(
    buffer: int, steps: list[tuple[int, int]]
) -> None:
    """Publish and take in any rhythm; whoever reads the journal at each `Lagged` ends with all records."""

    async def scenario() -> None:
        rig = Rig()
        async with trio.open_nursery() as nursery:
            await nursery.start(rig.hub.run)
            messages = await rig.subscribe(buffer)
            published = known = 0
            for publish, takes in [*steps, (0, buffer)]:
                await rig.publish(*range(published + 1, published + publish + 1))
                published += publish
                for message in take_some(messages, takes):
                    if isinstance(message, Lagged):
                        assert known + 1 >= message.first
                        known = published
                    else:
                        assert message.seq <= known + 1
                        known = max(known, message.seq)
            assert known == published
            rig.inbox.close()

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


def take_some(messages: Messages, most: int) -> list[Record | Lagged]:
    return [messages.receive_nowait() for _ in range(min(most, messages.statistics().current_buffer_used))]
