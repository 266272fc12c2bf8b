"""The roster and its workers, with everything around them played by the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.orders import (
    Answer,
    Ask,
    Decision,
    EndFleet,
    FleetEmpty,
    InterruptWorker,
    Order,
    SendInput,
    StopWorker,
    WorkerEnded,
)
from actors.roster import Roster
from protocols.errors import KeeperError
from protocols.events import WorkerExited
from protocols.ids import WorkerId
from protocols.keeper import Finished, Forget, Shutdown, Stop
from protocols.keeper_inputs import Interrupt, Write
from tests.surroundings import Stage, start, surrounded


@dataclass
class Fleet:
    stage: Stage
    orders: trio.MemorySendChannel[Order]
    decisions: trio.MemoryReceiveChannel[Decision]

    async def stop(self, name: str, grace: float) -> None:
        await self.orders.send(StopWorker(WorkerId(name), grace, "stop"))

    async def next_end(self) -> WorkerExited:
        decision = await self.decisions.receive()
        assert isinstance(decision, WorkerEnded)
        return decision.exited

    def exits(self) -> list[str]:
        """Of whom the end is on the disk."""
        return [event.worker for event in self.stage.events if isinstance(event, WorkerExited)]


@asynccontextmanager
async def rostered(folder: Path) -> AsyncIterator[Fleet]:
    """A roster that runs. At the end of the body nobody commands it any more, and it must come to its own end."""
    orders, inbox = trio.open_memory_channel[Order](16)
    outbox, decisions = trio.open_memory_channel[Decision](1)
    async with surrounded(folder) as stage, trio.open_nursery() as nursery:
        await nursery.start(Roster(inbox=inbox, outbox=outbox, around=stage.around).run)
        async with orders, outbox:
            yield Fleet(stage, orders, decisions)


async def test_each_start_is_answered_by_its_end(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        for name in "abc":
            await fleet.orders.send(start(name))
        spawns = [await fleet.stage.spawned() for _ in "abc"]
        for code, spawn in enumerate(reversed(spawns)):
            await fleet.stage.end(spawn, code)
        ends = [await fleet.next_end() for _ in "abc"]

    assert {end.worker: end.code for end in ends} == {
        spawn.request.attempt[-2]: code for code, spawn in enumerate(reversed(spawns))
    }
    assert sorted(fleet.exits()) == ["a", "b", "c"]


async def test_a_worker_can_be_started_again_as_soon_as_its_end_is_told(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        for attempt in (1, 2):
            await fleet.orders.send(start("a", attempt))
            await fleet.stage.end(await fleet.stage.spawned())
            assert (await fleet.next_end()).attempt == attempt
            assert isinstance(await fleet.stage.next_request(), Forget)


async def test_a_stop_is_passed_on_when_it_is_more_urgent_than_the_last(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        await fleet.orders.send(start("a"))
        spawn = await fleet.stage.spawned()
        for grace in (10.0, 10.0, 20.0, 2.0, 5.0, 0.0, 0.0):
            await fleet.stop("a", grace)
            await wait_all_tasks_blocked()
        stops = [await fleet.stage.next_request() for _ in range(3)]
        await fleet.stage.end(spawn)
        await fleet.next_end()
        assert isinstance(await fleet.stage.next_request(), Forget)

    assert [stop.grace for stop in stops if isinstance(stop, Stop)] == [10.0, 2.0, 0.0]


async def test_of_many_stops_during_a_start_the_most_urgent_one_counts(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        await fleet.orders.send(start("a"))
        await wait_all_tasks_blocked()
        for grace in reversed(range(10)):
            await fleet.stop("a", float(grace))
        await wait_all_tasks_blocked()
        spawn = await fleet.stage.spawned()
        stop = await fleet.stage.next_request()
        await fleet.stage.end(spawn)
        await fleet.next_end()

    assert stop == Stop(attempt=spawn.request.attempt, grace=0.0, reason="stop")


async def test_a_stop_of_a_worker_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        await fleet.stop("a", 1.0)
        await fleet.orders.send(start("a"))
        await fleet.stage.end(await fleet.stage.spawned())

        assert (await fleet.next_end()).reason == "exit"
        await fleet.stop("a", 1.0)


async def test_the_end_of_the_fleet_is_told_when_the_keeper_has_ended_all_that_is_left(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        answers = (Answer(msgspec.json.encode(Finished(("12 sleep",)))), Answer(error=KeeperError("it is gone")))
        empties = []
        for answer in answers:
            await fleet.orders.send(EndFleet())
            ask = await fleet.stage.asks.receive()
            assert isinstance(ask, Ask) and ask.request == Shutdown() and ask.answer is not None
            await ask.answer.send(answer)
            empties.append(await fleet.decisions.receive())

    assert empties == [FleetEmpty(("12 sleep",)), FleetEmpty(())]


async def test_without_anybody_who_commands_or_decides_all_workers_are_stopped_and_recorded(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        await fleet.orders.send(start("a", grace=3.0))
        await fleet.orders.send(start("b", grace=4.0))
        spawns = [await fleet.stage.spawned() for _ in "ab"]
        await wait_all_tasks_blocked()
        fleet.decisions.close()
        fleet.orders.close()
        stops = [await fleet.stage.next_request() for _ in "ab"]
        for spawn in spawns:
            await fleet.stage.end(spawn, None, "stop", "SIGTERM")
            await wait_all_tasks_blocked()

    assert sorted(stop.grace for stop in stops if isinstance(stop, Stop)) == [3.0, 4.0]
    assert sorted(fleet.exits()) == ["a", "b"]


def reach(data: bytes | None, attempt: int | None = 1) -> tuple[Order, trio.MemoryReceiveChannel[Answer]]:
    send, receive = trio.open_memory_channel[Answer](1)
    if data is None:
        return InterruptWorker(WorkerId("a"), attempt, send), receive
    return SendInput(WorkerId("a"), attempt, data, send), receive


@pytest.mark.parametrize("attempt", [1, None])
async def test_what_is_to_reach_a_worker_is_passed_on_with_who_waits_for_the_answer(
    tmp_path: Path, attempt: int | None
) -> None:
    async with rostered(tmp_path) as fleet:
        await fleet.orders.send(start("a"))
        spawn = await fleet.stage.spawned()
        for data in (b"y\xff", None):
            order, answer = reach(data, attempt)
            await fleet.orders.send(order)
            ask = await fleet.stage.asks.receive()
            assert isinstance(ask, Ask) and ask.answer is not None
            id_ = spawn.request.attempt
            assert ask.request == (Interrupt(attempt=id_) if data is None else Write(attempt=id_, data="y\xff"))
            await ask.answer.send(Answer(b"{}"))
            assert await answer.receive() == Answer(b"{}")
        await fleet.stage.end(spawn)
        await fleet.next_end()


async def test_nobody_is_reached_who_does_not_run_or_is_another_attempt(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        order, answer = reach(b"x", None)
        await fleet.orders.send(order)
        nobody = await answer.receive()
        await fleet.orders.send(start("a", 2))
        spawn = await fleet.stage.spawned()
        order, answer = reach(b"x", 1)
        await fleet.orders.send(order)
        other = await answer.receive()
        await fleet.stage.end(spawn)
        await fleet.next_end()

    assert str(nobody.error) == str(other.error) == 'worker "a" does not run'


async def test_who_cannot_be_reached_without_waiting_is_told(tmp_path: Path) -> None:
    async with rostered(tmp_path) as fleet:
        await fleet.orders.send(start("a"))
        spawn = await fleet.stage.spawned()
        waiting = [reach(b"x") for _ in range(17)]
        for order, _ in waiting:
            await fleet.orders.send(order)
        refused = await waiting[-1][1].receive()
        for _ in range(16):
            await fleet.stage.asks.receive()
        await fleet.stage.end(spawn)
        await fleet.next_end()

    assert "there is too much to do; try again" in str(refused.error)
