"""Records as server-sent events: from a cursor on and then as they come, none missing and none twice."""

import json
import random
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from actors.feed import Feed
from actors.http_events import EventStream, EventStreams
from actors.messages import Subscribe
from protocols.event_codec import encode_record
from protocols.events import Event, Record
from protocols.fleet_events import KeeperStarted
from protocols.ids import RunId
from protocols.states import RunView
from protocols.topics import Filter
from tests.http_side import AskedPort, open_side
from tests.made_fleets import output, run_started, status
from tests.port_rig import TREE

_BEGUN = [run_started("a", "b")]


def _news(count: int, first: int = 1) -> list[Event]:
    return [KeeperStarted(at=0.0, pid=number, generation=1) for number in range(first, first + count)]


async def test_without_a_cursor_what_comes_from_now_on_is_told(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side, side.events() as events:
        assert events.headers["content-type"] == "text/event-stream"
        assert events.headers["cache-control"] == "no-store"
        await events.read()
        await side.write(*_news(2))
        records = await events.until(2)

    last = len(TREE)
    assert [each.id for each in records] == [f"aaaaaaaa:{last + 1}", f"aaaaaaaa:{last + 2}"]
    assert [each.data for each in records] == [
        encode_record(Record(last + number, event)) for number, event in enumerate(_news(2), 1)
    ]
    assert json.loads(events.seen[0].data) == {"run": "aaaaaaaa", "after": last}


@pytest.mark.parametrize("after", [0, 3, len(TREE)])
@pytest.mark.parametrize("how", ["query", "cursor", "header"])
async def test_from_a_cursor_on_old_and_new_records_come_once_each(tmp_path: Path, after: int, how: str) -> None:
    query = {"query": f"?after={after}", "cursor": f"?after=aaaaaaaa:{after}", "header": ""}[how]
    headers = {"last_event_id": f"aaaaaaaa:{after}"} if how == "header" else {}
    async with open_side(tmp_path) as side, side.events(query, **headers) as events:
        await events.read()
        await side.write(*_news(5))
        await events.until(len(TREE) - after + 5)

    assert events.numbers == list(range(after + 1, len(TREE) + 6))


async def test_the_header_of_a_browser_that_comes_back_goes_before_the_address_it_began_with(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side, side.events("?after=0", last_event_id="aaaaaaaa:9") as events:
        await events.until(1)

        assert events.numbers[0] == 10


async def test_the_cursor_of_another_run_begins_with_the_first_record_of_this_one(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side, side.events(last_event_id="zzzzzzzz:900") as events:
        await events.until(len(TREE))

        assert json.loads(events.seen[0].data) == {"run": "aaaaaaaa", "after": 0}
        assert events.numbers == list(range(1, len(TREE) + 1))


async def test_topics_workers_and_runs_narrow_what_comes(tmp_path: Path) -> None:
    more: list[Event] = [*_BEGUN, output("a", length=3), output("b", length=4), status("a", "running"), *_news(1)]
    more.append(status("b", "failed"))
    async with open_side(tmp_path, more) as side:

        async def numbers(query: str) -> list[int]:
            async with side.events(f"?after=0&{query}") as events:
                while 6 not in events.numbers:
                    await events.read()
            return events.numbers

        assert await numbers("topics=task") == [4, 6]
        assert await numbers("topics=task&workers=b") == [3, 4, 6]
        assert await numbers("topics=task&topics=run&workers=all") == [1, 2, 3, 4, 6]
        assert await numbers("topics=error,run") == [1, 6]
        assert (await side.get("/api/records?runs=build")).json()["records"] == []


async def test_one_user_has_so_many_streams_and_others_have_theirs(tmp_path: Path) -> None:
    async with open_side(tmp_path, streams=2) as side:
        async with side.events() as one, side.events() as other:
            await one.read()
            await other.read()
            refused = await side.get("/api/events", 429)

            assert refused.headers["retry-after"] == "5" and "2 streams" in refused.json()["detail"]
            assert (await side.get("/api/stats")).json()["event_streams"] == 2
        while (await side.get("/api/stats")).json()["event_streams"]:
            pass  # until the port has seen that they are gone
        async with side.events() as again:
            assert await again.read()


async def test_a_reader_that_stops_reading_delays_nobody(tmp_path: Path) -> None:
    async with open_side(tmp_path) as side, side.events() as lazy, side.events() as eager:
        await lazy.read()
        await eager.read()
        await side.write(*_news(3000))
        await eager.until(3000)
        await lazy.until(3000)

        assert eager.numbers == lazy.numbers == list(range(len(TREE) + 1, len(TREE) + 3001))


async def test_readers_that_come_and_go_at_random_miss_nothing(tmp_path: Path) -> None:
    last, read = 2001, dict[int, list[int]]()

    async def follow(side: AskedPort, number: int) -> None:
        source, seen = random.Random(number), read.setdefault(number, [])
        while len(seen) < last:
            async with side.events(f"?after=aaaaaaaa:{len(seen)}") as events:
                await events.until(min(source.randrange(1, 600), last - len(seen)))
            seen += events.numbers

    async with open_side(tmp_path, _BEGUN, streams=50) as side, trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(follow, side, number)
        for first in range(1, last, 100):
            await side.write(*_news(100, first))

    assert all(seen == list(range(1, last + 1)) for seen in read.values())


async def test_the_end_of_the_port_is_told_and_the_next_one_goes_on_behind_the_last_record(tmp_path: Path) -> None:
    async with open_side(tmp_path, _BEGUN) as side, side.events("?after=0") as events:
        await events.until(1)
        side.stop.cancel()
        seen = await events.to_end()

        assert seen[-1].event == "bye"
        last = seen[-1].id
    assert last == "aaaaaaaa:1"


async def test_silence_is_broken_every_fifteen_seconds_with_the_place_that_was_reached(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    sent, got = trio.open_memory_channel[bytes](100)

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        if message["type"] == "http.response.body":
            await sent.send(message["body"])

    async def receive() -> dict[str, str]:
        await trio.sleep(50)
        return {"type": "http.disconnect"}

    feed = Feed(journal=tmp_path / "none", subscribe=trio.open_memory_channel[Subscribe](1)[0])
    streams = EventStreams(feed=feed, view=RunView)
    stream = EventStream(streams=streams, who="x", run=RunId("aaaaaaaa"), after=7, wanted=Filter())
    async with sent:
        await stream({"type": "http", "method": "GET"}, receive, send)

    chunks = [chunk async for chunk in got]
    assert chunks[1:] == [b": \nid: aaaaaaaa:7\n\n"] * 3
    assert streams.count == 0
