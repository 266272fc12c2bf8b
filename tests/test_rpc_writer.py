"""What goes out on one connection of the port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.rpc_writer import RpcWriter


@dataclass
class _Slow:
    """Sends when it is let."""

    sent: list[str] = field(default_factory=list)
    sending: int = 0
    gate: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(0))

    async def get_message(self) -> str:
        raise NotImplementedError

    async def send_message(self, message: str | bytes) -> None:
        self.sending += 1
        assert self.sending == 1, "two messages at once are none"
        await self.gate.acquire()
        self.sent.append(str(message))
        self.sending -= 1


@asynccontextmanager
async def _writing() -> AsyncIterator[tuple[_Slow, RpcWriter, trio.Nursery]]:
    async with trio.open_nursery() as nursery:
        socket = _Slow()
        yield socket, RpcWriter(socket=socket, nursery=nursery), nursery
        nursery.cancel_scope.cancel(reason="the test is done")


async def test_an_answer_with_nothing_before_it_is_sent_at_once_and_without_a_task() -> None:
    async with _writing() as (socket, writer, nursery):
        socket.gate.release()
        await writer.answer(b"a")

        assert socket.sent == ["a"]
        assert not nursery.child_tasks


async def test_messages_go_out_one_by_one_in_the_order_in_which_they_came() -> None:
    async with _writing() as (socket, writer, nursery):
        nursery.start_soon(writer.answer, b"1")
        await wait_all_tasks_blocked()
        writer.send_nowait(b"2")
        await writer.send(b"3")
        await writer.answer(b"4")
        for _ in range(4):
            socket.gate.release()
        await wait_all_tasks_blocked()
        nursery.start_soon(writer.answer, b"5")
        socket.gate.release()
        await wait_all_tasks_blocked()

    assert socket.sent == ["1", "2", "3", "4", "5"]


async def test_who_takes_nothing_is_waited_for_and_a_push_that_is_given_up_meanwhile_is_left_out() -> None:
    async with _writing() as (socket, writer, nursery):
        nursery.start_soon(writer.answer, b"1")
        await wait_all_tasks_blocked()
        for number in range(8):
            writer.send_nowait(b"%d" % number)
        await wait_all_tasks_blocked()
        writer.send_nowait(b"8")
        with pytest.raises(trio.WouldBlock):
            writer.send_nowait(b"9")
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel, scope)
            await writer.send(b"given up")
        for _ in range(20):
            socket.gate.release()
        await wait_all_tasks_blocked()
        await writer.answer(b"last")

    assert socket.sent == ["1", *map(str, range(9)), "last"]


async def _cancel(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel(reason="unsubscribed")
