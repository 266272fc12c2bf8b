"""The actor that watches budgets: what it records, what it decides, and that a restart of the run changes nothing."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.accountant import Accountant
from actors.messages import Append, Subscribe
from actors.orders import Decision, Order, OverBudget, SendInput
from protocols.budget import Amounts, Budget, BudgetEvent, BudgetOf
from protocols.events import Event, Record, RunStarted
from protocols.ids import TaskId, WorkerId
from protocols.layout import FleetFolder
from protocols.session_events import SessionUsage
from tests.made_fleets import run_started, started, starting

EPOCH = 1_700_000_000.0
BUDGET = Budget(hard=Amounts(time=100.0, tokens=1000), soft=Amounts(tokens=800), warning="Be brief.")


def wall() -> float:
    return EPOCH + trio.current_time()


def begun() -> RunStarted:
    return msgspec.structs.replace(run_started("a"), budgets=(BudgetOf("task", "a", BUDGET),))


def used(tokens: int) -> SessionUsage:
    return SessionUsage(at=0.0, worker=WorkerId("a"), attempt=1, session="s", input=tokens, cost=0.1)


@dataclass
class Rig:
    """The actor without a journal: records come from the test, and what it records comes back to it."""

    records: trio.MemorySendChannel[Record]
    decisions: trio.MemoryReceiveChannel[Decision]
    orders: trio.MemoryReceiveChannel[Order]
    told: list[BudgetEvent] = field(default_factory=list)
    seq: int = 0

    async def happen(self, *events: Event) -> None:
        for event in events:
            self.seq += 1
            await self.records.send(Record(self.seq, msgspec.structs.replace(event, at=wall())))

    async def keep(self, inbox: trio.MemoryReceiveChannel[Append]) -> None:
        """As a journal and a hub do."""
        async for append in inbox:
            assert isinstance(append.event, BudgetEvent)
            self.told.append(append.event)
            await self.happen(append.event)
            if append.committed is not None:
                append.committed.set()

    def decided(self) -> list[Decision]:
        found = []
        while self.decisions.statistics().current_buffer_used:
            found.append(self.decisions.receive_nowait())
        return found


@asynccontextmanager
async def rig(patch: pytest.MonkeyPatch, after: int = 0) -> AsyncIterator[Rig]:
    outbox, inbox = trio.open_memory_channel[Append](10)
    records, feed = trio.open_memory_channel[Record](1000)
    decisions, decided = trio.open_memory_channel[Decision](10)
    orders, ordered = trio.open_memory_channel[Order](10)
    subscribe, _ = trio.open_memory_channel[Subscribe](1)

    async def follow(*_: object, **__: object) -> AsyncGenerator[Record, None]:
        async for record in feed.clone():
            yield record

    patch.setattr("actors.accountant.follow_records", follow)
    actor = Accountant(
        folder=FleetFolder(Path("/nowhere")),
        after=after,
        subscribe=subscribe,
        outbox=outbox,
        decisions=decisions,
        orders=orders,
        manners={TaskId("a"): "session"},
        now=wall,
    )
    made = Rig(records, decided, ordered)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.keep, inbox)
        await nursery.start(actor.run)
        yield made
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_much_is_told_and_said_and_all_is_told_and_decided_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as desk:
        await desk.happen(begun(), starting("a"), started("a"), used(700))
        await trio.sleep(1)
        assert desk.told == []

        await desk.happen(used(900))
        order = await desk.orders.receive()
        assert isinstance(order, SendInput)
        assert (order.worker, order.data, order.note) == ("a", b"Be brief.", True)
        assert desk.decided() == []

        await desk.happen(used(1100), used(1200))
        await trio.sleep(1)

    reason = 'budget of task "a": tokens '
    assert [(type(each).__name__, each.kind) for each in desk.told] == [
        ("BudgetWarned", "tokens"),
        ("BudgetExceeded", "tokens"),
    ]
    (decision,) = desk.decided()
    assert isinstance(decision, OverBudget)
    assert (decision.scope, decision.name, decision.reason.startswith(reason)) == ("task", "a", True)


async def test_time_is_over_when_it_is_although_nothing_happens(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as desk:
        await desk.happen(begun(), starting("a"), started("a"))
        began = trio.current_time()
        await desk.decisions.receive()
        passed = trio.current_time() - began

    assert passed == pytest.approx(100.0, abs=0.01)
    assert [each.kind for each in desk.told] == ["time"]


async def test_what_an_earlier_supervisor_told_is_not_told_again_but_decided(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as desk:
        await desk.happen(begun(), starting("a"), used(1100))
        await trio.sleep(1)
    (exceeded,) = desk.told

    async with rig(monkeypatch, after=4) as again:
        await again.happen(begun(), starting("a"), used(1100), exceeded)  # type: ignore[arg-type] # it is one of its two kinds
        await trio.sleep(1)
        assert again.decided() == []

        await again.happen(starting("a", 2))
        await trio.sleep(1)

    assert again.told == []
    assert [type(each) for each in again.decided()] == [OverBudget]
