"""A mailbox keeps what its session does not take, up to a bound, and says what it left out."""

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.session_mailbox import Mailbox
from actors.session_messages import Connected, Disconnected, Missing, SessionInput
from protocols.opencode import Envelope, Snapshot

__all__: list[str] = []

DELTA = "message.part.delta"


def _event(number: int, kind: str = "message.updated", size: int = 0) -> Envelope:
    return Envelope(f"e{number}", kind, "", "s", "", b"x" * size)


def _snapshot(at: float, session: str = "s", size: int = 0) -> Snapshot:
    return Snapshot(session, at, True, b"", b"x" * size, b"", b"", b"", b"")


async def _after(
    items: list[SessionInput], *, room: int = 0, most: int = 10, most_bytes: int = 1000
) -> tuple[list[SessionInput], int]:
    """What is delivered of ``items`` once the session reads, and how often it was said that some is missing."""
    outbox, inbox = trio.open_memory_channel[SessionInput](room)
    misses: list[int] = []
    mailbox = Mailbox(
        session="s", directory="/d", inbox=outbox, missed=lambda: misses.append(1), most=most, most_bytes=most_bytes
    )
    told: list[SessionInput] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.run)
        for item in items:
            mailbox.put(item)
        with trio.move_on_after(1):
            while True:
                told.append(await inbox.receive())
        mailbox.close()
    return told, len(misses)


async def test_all_comes_in_order_while_no_more_waits_than_may(autojump_clock: MockClock) -> None:
    items: list[SessionInput] = [Connected(1), *map(_event, range(8)), _snapshot(1.0)]

    assert await _after(items) == (items, 0)


async def test_pieces_of_text_go_first(autojump_clock: MockClock) -> None:
    items: list[SessionInput] = [_event(number, DELTA if number % 3 else "message.updated") for number in range(12)]

    told, misses = await _after(items)

    assert told == [Missing(7), *(_event(number) for number in (0, 3, 6, 9)), _event(11, DELTA)]
    assert misses == 1


async def test_then_all_events_go_and_what_comes_later_is_delivered(autojump_clock: MockClock) -> None:
    items: list[SessionInput] = [Connected(1), *map(_event, range(20)), Disconnected("cut"), Connected(2), _event(20)]

    told, misses = await _after(items)

    assert told == [Missing(20), Connected(2), _event(20)] or told[-1] == _event(20)
    assert sum(each.count for each in told if isinstance(each, Missing)) == 21 - sum(
        isinstance(each, Envelope) for each in told
    )
    assert Connected(2) in told
    assert misses == 1


async def test_large_events_count_by_their_bytes(autojump_clock: MockClock) -> None:
    told, _ = await _after([_event(1, size=600), _event(2, size=600), _event(3, size=600)])

    assert told == [Missing(2), _event(3, size=600)]


async def test_of_snapshots_the_last_of_each_session_is_enough(autojump_clock: MockClock) -> None:
    items: list[SessionInput] = [_snapshot(float(at), session) for at in range(6) for session in "sc"]

    told, misses = await _after(items)

    assert told[-2:] == [_snapshot(5.0, "s"), _snapshot(5.0, "c")]
    assert (len(told), misses) == (3, 0)


async def test_a_snapshot_that_does_not_fit_is_asked_for_again_when_there_is_room(autojump_clock: MockClock) -> None:
    assert await _after([_snapshot(1.0, size=2000)]) == ([Missing(0)], 1)


async def test_once_it_has_caught_up_it_delivers_at_once_again(autojump_clock: MockClock) -> None:
    outbox, inbox = trio.open_memory_channel[SessionInput](1)
    mailbox = Mailbox(session="s", directory="/d", inbox=outbox, missed=lambda: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.run)
        for number in range(3):
            mailbox.put(_event(number))
        assert [await inbox.receive() for _ in range(3)] == [_event(number) for number in range(3)]
        await wait_all_tasks_blocked()

        mailbox.put(_event(3))

        assert inbox.receive_nowait() == _event(3)
        mailbox.close()


@given(
    st.lists(st.tuples(st.sampled_from(["message.updated", DELTA, "put", "take"]), st.integers(0, 400)), max_size=80)
)
def test_every_event_is_delivered_in_order_or_counted_as_missing(steps: list[tuple[str, int]]) -> None:
    async def deliver() -> tuple[list[SessionInput], int]:
        outbox, inbox = trio.open_memory_channel[SessionInput](2)
        mailbox = Mailbox(session="s", directory="/d", inbox=outbox, missed=lambda: None, most=8, most_bytes=1000)
        told: list[SessionInput] = []
        count = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.run)
            for kind, size in steps:
                if kind == "take":
                    await wait_all_tasks_blocked()
                    if inbox.statistics().current_buffer_used:
                        told.append(inbox.receive_nowait())
                else:
                    mailbox.put(_event(count, kind, size))
                    count += 1
            with trio.move_on_after(1):
                while True:
                    told.append(await inbox.receive())
            mailbox.close()
        return told, count

    told, count = trio.run(deliver, clock=MockClock(autojump_threshold=0))

    numbers = [int(each.id[1:]) for each in told if isinstance(each, Envelope)]
    missing = sum(each.count for each in told if isinstance(each, Missing))
    assert numbers == sorted(set(numbers))
    assert len(numbers) + missing == count
