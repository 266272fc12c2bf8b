"""The records of a fleet for many readers: none is missing and none comes twice, wherever a reader begins."""

from contextlib import closing
from pathlib import Path

import pytest
import trio

from actors import feed as feed_module
from actors.feed import Feed, Told
from actors.journal_file import open_journal
from protocols.event_codec import encode_record
from tests.test_subscription import Rig, keeper, numbers, running


async def _read_all(feed: Feed, after: int, seen: list[Told]) -> None:
    while page := await feed.read(after):
        seen.extend(page)
        after = page[-1].seq


async def _read_until(feed: Feed, last: int) -> list[Told]:
    seen: list[Told] = []
    while not seen or seen[-1].seq < last:
        seen += await feed.read(seen[-1].seq if seen else 0)
    return seen


async def _feed(rig: Rig, nursery: trio.Nursery) -> Feed:
    feed = Feed(journal=rig.path, subscribe=rig.requests)
    await nursery.start(feed.run)
    return feed


@pytest.mark.parametrize("after", [0, 3, 5])
async def test_old_and_live_records_come_from_any_number_on(tmp_path: Path, after: int) -> None:
    path, seen = tmp_path / "journal", list[Told]()
    with closing(open_journal(path)) as journal:
        journal.append([keeper(pid) for pid in range(1, 6)])

    async with trio.open_nursery() as readers, running(path) as rig:
        feed = await _feed(rig, readers)
        readers.start_soon(_read_all, feed, after, seen)
        await rig.write(6, 10)

    assert [told.record for told in seen] == numbers(after + 1, 10)
    assert [told.text for told in seen] == [encode_record(each) for each in numbers(after + 1, 10)]


async def test_who_is_far_behind_reads_the_journal_and_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_KEPT", 10)
    monkeypatch.setattr(feed_module, "_PAGE", 7)
    late: list[Told] = []

    async with trio.open_nursery() as readers, running(tmp_path / "journal") as rig:
        feed = await _feed(rig, readers)
        await rig.write(1, 100)
        await _read_until(feed, 100)
        readers.start_soon(_read_all, feed, 0, late)
        await rig.write(101, 120)

    assert [told.record for told in late] == numbers(1, 120)


async def test_a_record_is_encoded_once_for_all_that_read_it_live(tmp_path: Path) -> None:
    async with trio.open_nursery() as readers, running(tmp_path / "journal") as rig:
        feed = await _feed(rig, readers)
        await rig.write(1, 3)
        one, other = await _read_until(feed, 3), await _read_until(feed, 3)

        assert all(mine.text is its.text for mine, its in zip(one, other, strict=True))


async def test_a_reader_that_waits_hears_of_the_end(tmp_path: Path) -> None:
    seen: list[Told] = []

    async with trio.open_nursery() as readers, running(tmp_path / "journal") as rig:
        feed = await _feed(rig, readers)
        await rig.write(1, 1)
        readers.start_soon(_read_all, feed, 1, seen)
        await trio.testing.wait_all_tasks_blocked()

    assert seen == []
    assert await feed.read(1) == []
