"""Subscriptions that end with exactly the records that there are, whatever breaks, lags or is slow."""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.rpc_feed import RpcFeed
from protocols.errors import FleetError
from protocols.event_codec import encode_record
from protocols.events import Record, RunStopping
from protocols.port_params import Wanted
from tests.rpc_server import RefuseError, RpcServer
from tests.test_rpc_client import called


@dataclass(slots=True)
class Board:
    """A fleet of which nothing is known but its records, and who has subscribed to them."""

    run: str = "aaaaaaaa"
    last: int = 0
    subscribed: dict[str, int] = field(default_factory=dict)
    """The last number that each was told."""

    def methods(self) -> dict[str, Any]:
        return {
            "events.subscribe": self.subscribe,
            "events.unsubscribe": self.unsubscribe,
            "events.read": self.read,
            "echo": self.echo,
        }

    async def subscribe(self, params: dict[str, Any]) -> object:
        after = self.last if params["after"] is None else params["after"]
        self.subscribed[params["subscription"]] = after
        return {"subscription": params["subscription"], "run": self.run, "after": after}

    async def unsubscribe(self, params: dict[str, Any]) -> object:
        if params["subscription"] not in self.subscribed:
            raise RefuseError(-32000, "there is no such subscription")
        return {"subscription": params["subscription"], "upto": self.subscribed.pop(params["subscription"])}

    async def read(self, params: dict[str, Any]) -> object:
        upto = min(params["upto"] or self.last, params["after"] + 10)
        return {
            "records": texts(params["after"], upto),
            "upto": upto,
            "more": upto < min(params["upto"] or self.last, self.last),
        }

    async def echo(self, params: object) -> object:
        return params

    async def push(self, server: RpcServer, *, lag: bool = False) -> None:
        """Tell all what they do not have, or that they do not get it."""
        for name, after in list(self.subscribed.items()):
            self.subscribed[name] = self.last
            if after == self.last:
                continue
            if lag:
                await server.tell("events.lagged", {"subscription": name, "first": after + 1, "last": self.last})
            else:
                told = {"subscription": name, "upto": self.last, "records": texts(after, self.last)}
                await server.tell("events.records", told)


def texts(after: int, upto: int) -> list[Any]:
    return [json.loads(encode_record(record(number))) for number in range(after + 1, upto + 1)]


def record(number: int) -> Record:
    return Record(number, RunStopping(at=float(number), reason="r", grace=1.0))


async def collect(feed: RpcFeed, last: int) -> list[int]:
    """The numbers of all records until the one with number ``last``."""
    numbers: list[int] = []
    async for batch in feed:
        numbers += [each.seq for each in batch]
        if numbers[-1] >= last:
            break
    return numbers


async def feed_of(client: Any, after: int | None) -> RpcFeed:
    feed = RpcFeed(rpc=client, wanted=Wanted(), after=after)
    client.watchers.append(feed)
    await feed.begin()
    return feed


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_breaks_each_record_comes_once_and_in_order(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    board = Board(last=dice.randrange(30))
    numbers: list[int] = []

    async with called(tmp_path, board.methods()) as (client, server):

        async def read() -> None:
            numbers.extend(await collect(await feed_of(client, 0), 300))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            while board.last < 300:
                board.last += dice.randrange(1, 5)
                match dice.randrange(10):
                    case 0:
                        board.subscribed.clear()
                        await server.cut()
                    case 1:
                        await board.push(server, lag=True)
                    case _:
                        await board.push(server)
                await trio.lowlevel.checkpoint()
            board.last = max(board.last, 300)
            while nursery.child_tasks:
                await board.push(server)
                await client.call("echo", {}, object)

    assert numbers == list(range(1, board.last + 1))


async def test_a_reader_that_takes_its_time_reads_again_what_was_not_held_for_it(tmp_path: Path) -> None:
    board = Board()

    async with called(tmp_path, board.methods()) as (client, server):
        feed = await feed_of(client, None)
        for _ in range(200):
            board.last += 1
            await board.push(server)
        await client.call("echo", {}, object)  # behind all that was told
        before = len(board.subscribed)

        async def push() -> None:
            while True:
                await client.call("echo", {}, object)
                await board.push(server)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(push)
            numbers = await collect(feed, 200)
            nursery.cancel_scope.cancel()

    assert numbers == list(range(1, 201))
    assert (before, len(board.subscribed)) == (1, 1)


async def test_from_now_on_means_what_comes_behind_the_answer(tmp_path: Path) -> None:
    board = Board(last=7)

    async with called(tmp_path, board.methods()) as (client, server):
        feed = await feed_of(client, None)
        board.last = 9
        await board.push(server)

        assert await anext(feed) == [record(8), record(9)]
        assert (feed.run, feed.after) == ("aaaaaaaa", 9)


async def test_numbers_of_another_run_are_not_mixed_with_those_of_the_first(tmp_path: Path) -> None:
    board = Board(last=7)

    async with called(tmp_path, board.methods()) as (client, server):
        feed = await feed_of(client, None)
        board.run = "bbbbbbbb"
        await server.cut()

        with pytest.raises(FleetError, match="run aaaaaaaa has ended, and its supervisor runs bbbbbbbb now"):
            await anext(feed)


async def test_what_other_subscriptions_are_told_is_not_ours(tmp_path: Path) -> None:
    board = Board()

    async with called(tmp_path, board.methods()) as (client, server):
        one, other = await feed_of(client, None), await feed_of(client, None)
        board.last = 1
        await board.push(server)

        assert (await anext(one), await anext(other)) == ([record(1)], [record(1)])
        assert len(board.subscribed) == 2
