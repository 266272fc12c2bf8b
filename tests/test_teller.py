"""Telling the journal, which may take its time."""

import trio

from actors.messages import Append
from actors.teller import Teller
from protocols.events import Event
from protocols.fleet_events import FleetSwept
from protocols.ledger import Told


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


async def test_the_journal_is_hurried_for_receipts_that_somebody_takes_and_for_no_others() -> None:
    outbox, journal = trio.open_memory_channel[Append](1000)
    teller = Teller(outbox, "ledger")

    for number in range(1, 801):
        teller.tell_from_outbox(Told(number, swept(number)))

    told = [journal.receive_nowait() for _ in range(800)]
    assert [append.key for append in told if append.committed is not None] == [("ledger", 256)]
    assert teller.receipts.receive_nowait().number == 256
