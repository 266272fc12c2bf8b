"""A supervisor that leaves its run: it is told first."""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.leaving import Leaving
from actors.messages import Append
from protocols.commands import ShutDown
from protocols.fleet_events import SupervisorLeft


async def test_it_leaves_once_that_is_in_the_journal(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    outbox, journal = trio.open_memory_channel[Append](1)
    leaving = Leaving(outbox=outbox, restarts=True, now=lambda: 1.0)
    left: list[SupervisorLeft] = []

    async def leave() -> None:
        left.append(await leaving.wait())

    nursery.start_soon(leave)
    nursery.start_soon(leaving.tell, ShutDown(workers="leave", restart=True, reason="an upgrade"))
    append = await journal.receive()
    await trio.sleep(60)
    before = ([*left], leaving.restarting)
    assert append.committed is not None
    append.committed.set()
    await wait_all_tasks_blocked()
    told = leaving.restarting
    await trio.sleep(1)

    assert before == ([], False)
    assert told
    assert left == [append.event] == [SupervisorLeft(at=1.0, reason="an upgrade", restart=True)]


async def test_who_asks_second_changes_nothing(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    outbox, journal = trio.open_memory_channel[Append](2)
    leaving = Leaving(outbox=outbox, restarts=True)
    for restart in (False, True):
        nursery.start_soon(leaving.tell, ShutDown(workers="leave", restart=restart))
        append = await journal.receive()
        assert append.committed is not None
        append.committed.set()
        await wait_all_tasks_blocked()

    assert not (await leaving.wait()).restart
    assert not leaving.restarting
