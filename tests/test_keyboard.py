"""Typing for a worker: what is sent in which pieces, and what is said where it does not arrive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.keyboard import LONGEST_TEXT, interrupt, type_text
from actors.orders import Answer, InterruptWorker, Order, SendInput
from protocols.errors import SpawnError
from protocols.ids import WorkerId
from protocols.keeper_inputs import Written

A = WorkerId("a")


@dataclass
class Roster:
    """Answers each order: with as many bytes as it takes at most, with an error, or not at all."""

    orders: trio.MemorySendChannel[Order]
    most: int = 4096
    error: str = ""
    silent: bool = False
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    interrupted: list[int | None] = field(default_factory=list)

    async def run(self, inbox: trio.MemoryReceiveChannel[Order]) -> None:
        async for order in inbox:
            assert isinstance(order, SendInput | InterruptWorker)
            if self.silent:
                continue
            if self.error:
                await order.answer.send(Answer(error=SpawnError(self.error, "EPIPE")))
            elif isinstance(order, SendInput):
                self.sent.append((trio.current_time(), order.data))
                await order.answer.send(Answer(msgspec.json.encode(Written(min(len(order.data), self.most)))))
            else:
                self.interrupted.append(order.attempt)
                await order.answer.send(Answer(b"{}"))


@asynccontextmanager
async def roster() -> AsyncIterator[Roster]:
    orders, inbox = trio.open_memory_channel[Order](4)
    found = Roster(orders)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.run, inbox)
        async with orders:
            yield found


async def test_a_pipe_gets_text_and_line_end_in_one_piece(autojump_clock: MockClock) -> None:
    async with roster() as found:
        said = await type_text(found.orders, A, 1, b"go on", enter=True, terminal=False)

    assert (said, found.sent) == ("", [(0.0, b"go on\n")])


async def test_at_a_terminal_enter_comes_after_the_text_and_is_a_return(autojump_clock: MockClock) -> None:
    async with roster() as found:
        said = await type_text(found.orders, A, 1, b"go on", enter=True, terminal=True)

    assert (said, [data for _, data in found.sent]) == ("", [b"go on", b"\r"])
    assert found.sent[1][0] > found.sent[0][0]


@pytest.mark.parametrize(("text", "enter", "pieces"), [(b"", True, [b"\r"]), (b"y", False, [b"y"]), (b"", False, [])])
async def test_text_and_enter_may_be_left_out(
    autojump_clock: MockClock, text: bytes, enter: bool, pieces: list[bytes]
) -> None:
    async with roster() as found:
        assert not await type_text(found.orders, A, None, text, enter=enter, terminal=True)

    assert [data for _, data in found.sent] == pieces


async def test_what_did_not_arrive_is_told(autojump_clock: MockClock) -> None:
    async with roster() as found:
        found.most = 2
        partly = await type_text(found.orders, A, 1, b"text", enter=True, terminal=True)
        found.error = "it has closed its input"
        closed = await type_text(found.orders, A, 1, b"text", enter=True, terminal=False)
        found.silent = True
        lost = await type_text(found.orders, A, 1, b"text", enter=True, terminal=False)
        long = await type_text(found.orders, A, 1, b"x" * (LONGEST_TEXT + 1), enter=True, terminal=False)

    assert partly == "it took only 2 of 4 bytes, as it does not read"
    assert closed == "it has closed its input"
    assert lost == "no answer within 2 s; nobody knows whether it arrived"
    assert long.startswith("longer than 4000 bytes")
    assert [data for _, data in found.sent] == [b"text"]


async def test_an_interrupt_arrives_or_it_is_told_why_not(autojump_clock: MockClock) -> None:
    async with roster() as found:
        assert await interrupt(found.orders, A, 3) == ""
        found.error = "it has ended"
        assert await interrupt(found.orders, A, 3) == "it has ended"

    assert found.interrupted == [3]


async def test_at_the_end_of_a_run_nobody_is_reached() -> None:
    orders, inbox = trio.open_memory_channel[Order](1)
    inbox.close()

    assert "the run is ending" in await interrupt(orders, A, 1)
