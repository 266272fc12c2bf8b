"""Following a journal: the seam between old and live records, lags, the end."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.hub import Hub
from actors.journal import Journal
from actors.journal_file import open_journal
from actors.messages import Append, Subscribe
from actors.subscription import follow_records
from protocols.events import Record
from protocols.fleet_events import KeeperStarted


def keeper(pid: int) -> KeeperStarted:
    return KeeperStarted(at=0.0, pid=pid, generation=1)


def numbers(first: int, last: int) -> list[Record]:
    return [Record(seq, keeper(seq)) for seq in range(first, last + 1)]


@dataclass(frozen=True)
class Rig:
    path: Path
    inbox: trio.MemorySendChannel[Append]
    requests: trio.MemorySendChannel[Subscribe]

    async def write(self, first: int, last: int) -> None:
        """Wait until these events are in the journal; the hub has them a little later."""
        for pid in range(first, last):
            await self.inbox.send(Append(keeper(pid)))
        committed = trio.Event()
        await self.inbox.send(Append(keeper(last), committed))
        await committed.wait()

    async def collect(self, seen: list[Record], after: int = 0, buffer: int = 2, every: int = 1000) -> None:
        """Follow, with a turn for others after each ``every`` records."""
        async with aclosing(follow_records(self.path, self.requests, after, buffer=buffer)) as records:
            async for record in records:
                seen.append(record)
                if len(seen) % every == 0:
                    await trio.lowlevel.checkpoint()


@asynccontextmanager
async def running(path: Path, *, batch: int = 512) -> AsyncIterator[Rig]:
    """Run journal and hub around the body; then end both in order."""
    inbox, appends = trio.open_memory_channel[Append](100)
    outbox, records = trio.open_memory_channel[Record](100)
    requests, asked = trio.open_memory_channel[Subscribe](10)
    async with trio.open_nursery() as publishing:
        await publishing.start(Hub(inbox=records, requests=asked).run)
        async with trio.open_nursery() as keeping:
            await keeping.start(Journal(path=path, inbox=appends, outbox=outbox, batch=batch).run)
            yield Rig(path, inbox, requests)
            inbox.close()
        outbox.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.mark.parametrize("after", [0, 3, 5, 8])
async def test_old_and_live_records_come_from_any_number_on(path: Path, after: int) -> None:
    seen: list[Record] = []

    async with trio.open_nursery() as followers, running(path) as rig:
        await rig.write(1, 5)
        followers.start_soon(rig.collect, seen, after)
        await rig.write(6, 10)

    assert seen == numbers(after + 1, 10)


@settings(max_examples=10)  # each is a whole fleet's life: together they take longer than other tests
@given(
    bursts=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    buffer=st.integers(2, 8),
    every=st.integers(1, 20),
    start=st.integers(0, 7),
    batch=st.integers(5, 20),
)
async def test_nothing_is_missing_and_nothing_comes_twice_in_any_rhythm(
    tmp_path_factory: pytest.TempPathFactory, bursts: list[int], buffer: int, every: int, start: int, batch: int
) -> None:
    seen: list[Record] = []
    path = tmp_path_factory.mktemp("seam") / "journal"

    async with trio.open_nursery() as followers, running(path, batch=batch) as rig:
        written = 0
        for index, burst in enumerate(bursts):
            if index == min(start, len(bursts) - 1):
                followers.start_soon(rig.collect, seen, 0, buffer, every)
            await rig.write(written + 1, written + burst)
            written += burst

    assert seen == numbers(1, sum(bursts))


async def test_a_follower_that_slept_catches_up_although_nothing_new_comes(path: Path) -> None:
    async with running(path) as rig, aclosing(follow_records(path, rig.requests, buffer=2)) as records:
        await rig.write(1, 1)
        seen = [await anext(records)]
        await rig.write(2, 50)

        seen += [await anext(records) for _ in range(49)]

    assert seen == numbers(1, 50)


async def test_long_journals_are_read_in_pages(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.subscription._PAGE", 7)
    with closing(open_journal(path)) as file:
        file.append([keeper(pid) for pid in range(1, 51)])
    seen: list[Record] = []

    async with trio.open_nursery() as followers, running(path) as rig:
        followers.start_soon(rig.collect, seen)
        await rig.write(51, 51)

    assert seen == numbers(1, 51)


async def test_who_leaves_early_disturbs_nobody(path: Path) -> None:
    seen: list[Record] = []

    async with trio.open_nursery() as followers, running(path) as rig:
        async with aclosing(follow_records(path, rig.requests)) as records:
            await rig.write(1, 3)
            await anext(records)
        followers.start_soon(rig.collect, seen)
        await rig.write(4, 5)

    assert seen == numbers(1, 5)


async def test_following_after_the_end_reads_what_is_there(path: Path) -> None:
    async with running(path) as rig:
        await rig.write(1, 3)
    seen: list[Record] = []

    await rig.collect(seen)

    assert seen == numbers(1, 3)
