"""The journal's actor: order, numbers, acknowledgement, full disks, cancellation, restart."""

import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest
import trio

from actors.journal import Journal
from actors.journal_file import JournalFile, last_seq, open_journal, read_records
from actors.messages import Append
from protocols.errors import JournalError
from protocols.events import Event, Record
from protocols.fleet_events import JournalResumed, KeeperStarted
from protocols.ids import OutboxKey
from tests.small_disk import small_disk


def keeper(pid: int, generation: int = 1) -> KeeperStarted:
    return KeeperStarted(at=1.5, pid=pid, generation=generation)


@dataclass(frozen=True)
class Setup:
    path: Path
    journal: Journal
    inbox: trio.MemorySendChannel[Append]
    records: trio.MemoryReceiveChannel[Record]


def set_up(path: Path, *, batch: int = 512, retry: float = 0.01, buffer: int = 100) -> Setup:
    send, inbox = trio.open_memory_channel[Append](buffer)
    outbox, records = trio.open_memory_channel[Record](inf)
    journal = Journal(path=path, inbox=inbox, outbox=outbox, batch=batch, retry=retry, now=lambda: 7.0)
    return Setup(path, journal, send, records)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@asynccontextmanager
async def running(setup: Setup) -> AsyncIterator[None]:
    """Run the journal around the body, then close its inbox and wait until it has returned."""
    async with trio.open_nursery() as nursery:
        await nursery.start(setup.journal.run)
        yield
        setup.inbox.close()
    setup.journal.outbox.close()


async def test_records_go_to_the_hub_in_the_order_of_their_events(path: Path) -> None:
    setup = set_up(path)

    async with running(setup):
        for pid in range(1, 301):
            await setup.inbox.send(Append(keeper(pid)))

    expected = [Record(seq, keeper(seq)) for seq in range(1, 301)]
    assert [record async for record in setup.records] == expected
    assert list(read_records(path)) == expected


async def test_an_event_is_on_disk_before_its_sender_is_told_and_before_the_hub_gets_it(path: Path) -> None:
    setup = set_up(path)

    async with running(setup):
        committed = trio.Event()
        await setup.inbox.send(Append(keeper(1), committed))
        await committed.wait()
        assert last_seq(path) == 1
        await setup.inbox.send(Append(keeper(2)))
        assert (await setup.records.receive()).seq == 1
        assert (await setup.records.receive()).seq == 2
        assert last_seq(path) == 2


async def test_numbers_go_on_in_a_journal_that_has_records(path: Path) -> None:
    with closing(open_journal(path)) as file:
        file.append([keeper(1), keeper(2)])
    setup = set_up(path)

    async with running(setup):
        await setup.inbox.send(Append(keeper(3)))

    assert [record async for record in setup.records] == [Record(3, keeper(3))]


async def test_each_of_many_senders_finds_its_events_in_order_and_without_holes(path: Path) -> None:
    setup = set_up(path, batch=7, buffer=3)

    async def produce(generation: int) -> None:
        for pid in range(50):
            committed = trio.Event() if pid % 10 == 0 else None
            await setup.inbox.send(Append(keeper(pid, generation), committed))
            if committed is not None:
                await committed.wait()

    async with running(setup), trio.open_nursery() as producers:
        for generation in range(8):
            producers.start_soon(produce, generation)

    records = list(read_records(path))
    assert [record async for record in setup.records] == records
    assert [record.seq for record in records] == list(range(1, 401))
    for generation in range(8):
        events = [record.event for record in records]
        assert [event for event in events if isinstance(event, KeeperStarted) and event.generation == generation] == [
            keeper(pid, generation) for pid in range(50)
        ]


async def test_events_that_pour_are_committed_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    append = JournalFile.append

    def counted(file: JournalFile, events: Sequence[Event], keys: Sequence[OutboxKey | None]) -> list[Record]:
        batches.append(len(events))
        return append(file, events, keys)

    monkeypatch.setattr(JournalFile, "append", counted)
    setup = set_up(path, batch=40, buffer=100)
    for pid in range(100):
        setup.inbox.send_nowait(Append(keeper(pid)))

    async with running(setup):
        pass

    assert batches == [40, 40, 20]
    assert last_seq(path) == 100


async def test_a_journal_that_cannot_be_opened_is_an_error_before_the_start(path: Path) -> None:
    await trio.Path(path).write_bytes(b"something else" * 1000)
    setup = set_up(path)

    async with trio.open_nursery() as nursery:
        with pytest.raises(JournalError, match="not a database"):
            await nursery.start(setup.journal.run)


async def test_a_full_disk_makes_senders_wait_and_is_recorded_when_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "small") as disk:
        ballast = disk / "ballast"
        setup = set_up(disk / "journal", batch=50, buffer=10)
        async with running(setup):
            ballast.write_bytes(bytes(150_000))
            sent = 0
            with caplog.at_level(logging.WARNING):
                while not caplog.records:  # nothing is refused, but at last a sender has to wait
                    with trio.move_on_after(0.05):
                        await setup.inbox.send(Append(keeper(sent)))
                        sent += 1
                await trio.sleep(0.05)
            before = last_seq(disk / "journal")
            ballast.unlink()
            committed = trio.Event()
            await setup.inbox.send(Append(keeper(-1), committed))
            await committed.wait()

        records = list(read_records(disk / "journal"))
        assert [message.message.partition(":")[0] for message in caplog.records] == ["the journal cannot be written"]
        assert [record.seq for record in records] == list(range(1, sent + 3))
        assert [r.event for r in records if not isinstance(r.event, JournalResumed)] == [
            *map(keeper, range(sent)),
            keeper(-1),
        ]
        (resumed,) = (record for record in records if isinstance(record.event, JournalResumed))
        assert before < resumed.seq
        assert isinstance(resumed.event, JournalResumed)
        assert "No space left" in resumed.event.error


async def test_what_was_sent_before_a_cancellation_is_written(path: Path) -> None:
    setup = set_up(path)
    committed = trio.Event()

    async with trio.open_nursery() as nursery:
        await nursery.start(setup.journal.run)
        for pid in range(1, 51):
            await setup.inbox.send(Append(keeper(pid)))
        await setup.inbox.send(Append(keeper(51), committed))
        nursery.cancel_scope.cancel(reason="an emergency")

    assert committed.is_set()
    assert list(read_records(path)) == [Record(seq, keeper(seq)) for seq in range(1, 52)]


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancellation_at_any_moment_acknowledges_only_what_is_written(path: Path, turns: int) -> None:
    setup = set_up(path, batch=3)
    waiting = [trio.Event() for _ in range(20)]

    async with trio.open_nursery() as nursery:
        await nursery.start(setup.journal.run)
        for pid, committed in enumerate(waiting):
            setup.inbox.send_nowait(Append(keeper(pid), committed))
        for _ in range(turns):
            await trio.sleep(0.0002)
        nursery.cancel_scope.cancel(reason="an emergency")

    written = [record.event for record in read_records(path)]
    assert written == [keeper(pid) for pid in range(20)]
    assert all(committed.is_set() for committed in waiting)


async def test_a_failure_loses_nothing_for_the_run_after_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    setup = set_up(path)
    committed = trio.Event()
    with pytest.RaisesGroup(pytest.RaisesExc(JournalError, match="no such table")):
        async with trio.open_nursery() as nursery:
            await nursery.start(setup.journal.run)
            with closing(sqlite3.connect(path)) as db:
                db.execute("ALTER TABLE records RENAME TO hidden")
                await setup.inbox.send(Append(keeper(1), committed))
                await trio.sleep_forever()
    assert "1 events are not written yet" in caplog.text
    assert not committed.is_set()
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE hidden RENAME TO records")

    async with running(setup):
        await setup.inbox.send(Append(keeper(2)))

    assert committed.is_set()
    assert list(read_records(path)) == [Record(1, keeper(1)), Record(2, keeper(2))]
