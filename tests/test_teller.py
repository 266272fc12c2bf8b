"""Telling the journal, which may take its time."""

import trio

from actors.messages import Append
from actors.teller import Teller
from protocols.events import Event
from protocols.fleet_events import FleetSwept


def swept(number: int) -> Event:
    return FleetSwept(at=float(number), processes=())


async def test_nobody_waits_for_a_journal_that_takes_nothing_and_the_order_is_kept(nursery: trio.Nursery) -> None:
    outbox, journal = trio.open_memory_channel[Append](1)
    teller = Teller(outbox)
    nursery.start_soon(teller.run)

    for number in range(5):
        teller.tell(swept(number))
    teller.close()

    told = [await journal.receive() for _ in range(5)]
    assert [append.event for append in told] == [swept(number) for number in range(5)]
