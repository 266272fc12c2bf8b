"""The actor that judges: what it asks for, what it tells, and that it holds up nobody."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.liveness import Liveness
from actors.messages import Append, Subscribe
from protocols.events import Event, Record, WorkerVerdict
from protocols.evidence import Mark
from protocols.fleet_events import KeeperStarted
from protocols.ids import WorkerId
from protocols.layout import FleetFolder
from protocols.sight import Sight, Wanted
from protocols.silence import Policy
from tests.made_fleets import exited, output, started, starting

EPOCH = 1_700_000_000.0
A = WorkerId("a")


def wall() -> float:
    return EPOCH + trio.current_time()


@dataclass
class Eyes:
    """What is seen is what the test says."""

    asked: list[list[Wanted]] = field(default_factory=list)
    keepers: list[int | None] = field(default_factory=list)
    sight: Callable[[Wanted], Sight] = lambda _: Sight()
    reads: bool = True
    takes: float = 0.0
    closed: int = 0

    async def look(self, wanted: Sequence[Wanted], keeper: int | None) -> tuple[list[Sight], bool]:
        self.asked.append(list(wanted))
        self.keepers.append(keeper)
        await trio.sleep(self.takes)
        return [self.sight(each) for each in wanted], self.reads

    def close(self) -> None:
        self.closed += 1


@dataclass
class Rig:
    """The actor without a journal: records come from the test."""

    eyes: Eyes
    actor: Liveness
    inbox: trio.MemoryReceiveChannel[Append]
    records: trio.MemorySendChannel[Record]
    _seq: int = 0

    async def happen(self, *events: Event) -> None:
        for event in events:
            self._seq += 1
            await self.records.send(Record(self._seq, msgspec.structs.replace(event, at=wall())))

    async def run_worker(self, name: str = "a") -> None:
        await self.happen(starting(name), started(name))

    def told(self) -> list[WorkerVerdict]:
        """The verdicts that were written since the last look at them."""
        found = []
        while self.inbox.statistics().current_buffer_used:
            event = self.inbox.receive_nowait().event
            assert isinstance(event, WorkerVerdict)
            found.append(event)
        return found

    def states(self) -> list[tuple[str, bool]]:
        return [(each.state, each.confirmed) for each in self.told()]


class _Counted(dict[WorkerId, Policy]):
    """Counts who is judged: each needs its policy."""

    asked: int = 0

    def __getitem__(self, key: WorkerId) -> Policy:
        self.asked += 1
        return super().__getitem__(key)


@asynccontextmanager
async def rig(
    patch: pytest.MonkeyPatch,
    *,
    names: str = "a",
    room: int = 1000,
    policies: Mapping[WorkerId, Policy] | None = None,
    beat: float = 5.0,
) -> AsyncIterator[Rig]:
    outbox, inbox = trio.open_memory_channel[Append](room)
    records, feed = trio.open_memory_channel[Record](1000)
    subscribe, _ = trio.open_memory_channel[Subscribe](1)

    async def follow(*_: object, **__: object) -> AsyncGenerator[Record, None]:
        async for record in feed.clone():
            yield record

    patch.setattr("actors.liveness.follow_records", follow)
    eyes = Eyes()
    actor = Liveness(
        folder=FleetFolder(Path("/nowhere")),
        subscribe=subscribe,
        outbox=outbox,
        inspect=lambda: eyes,
        policies=policies or {WorkerId(name): Policy() for name in names.split()},
        heartbeat=beat,
        now=wall,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(actor.run)
        yield Rig(eyes, actor, inbox, records)
        records.close()
    feed.close()


async def test_a_silent_worker_is_told_as_quiet_and_then_as_stalled_once_each(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch, beat=7.0) as made:
        await made.run_worker()
        await trio.sleep(3600)

        told = made.told()

    assert [(each.state, each.confirmed) for each in told] == [
        ("starting", True),
        ("working", True),
        ("quiet", False),
        ("stalled", True),
    ]
    assert [round(each.at - EPOCH) for each in told] == [7, 14, 63, 308]
    assert told[-1].reasons[-1] == "nothing explains a silence of 5m1s"
    assert (told[-1].worker, told[-1].attempt) == (A, 1)


async def test_output_ends_a_stall_at_the_next_look(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(monkeypatch) as made:
        await made.run_worker()
        await trio.sleep(402)
        before = made.states()[-1]
        made.eyes.sight = lambda _: Sight(spooled=5, mark=Mark("testing", "PASS "))
        await made.happen(output("a", length=5))
        await trio.sleep(5)

        assert (before, made.states()) == (("stalled", True), [("testing", True)])


async def test_a_worker_that_computes_is_never_told_as_quiet(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as made:
        made.eyes.sight = lambda _: Sight(cpu=trio.current_time())
        await made.run_worker()
        await trio.sleep(3600)

        assert made.states() == [("starting", True), ("working", True)]


async def test_a_state_that_only_holds_until_the_next_one_is_not_told_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as made:
        await made.run_worker()
        for second in range(60):
            mark = Mark("reading" if second < 20 else "testing")
            made.eyes.sight = lambda wanted, mark=mark: Sight(mark=mark)  # type: ignore[misc]
            await made.happen(output("a", offset=second, length=1))
            await trio.sleep(1)

        assert made.states() == [("reading", True), ("testing", True)]


async def test_it_looks_at_each_heartbeat_while_somebody_runs_and_never_else(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch, beat=2.0) as made:
        await trio.sleep(100)
        idle = len(made.eyes.asked)
        await made.happen(KeeperStarted(at=0, pid=7, generation=1))
        await made.run_worker()
        await trio.sleep(20.5)
        busy = len(made.eyes.asked)
        await made.happen(exited("a"))
        await trio.sleep(100)
        after = len(made.eyes.asked)
        await made.happen(starting("a", 2))
        await trio.sleep(2.5)

    assert (idle, busy) == (0, 10)
    assert after <= busy + 1
    assert made.eyes.keepers[0] == 7
    assert made.eyes.asked[-1] == [Wanted(A, 2, "pipe", None, None)]


async def test_who_ended_during_a_look_is_not_judged_by_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch, names="a b") as made:
        made.eyes.takes = 1.0
        await made.run_worker("a")
        await made.run_worker("b")
        await trio.sleep(5.5)
        await made.happen(exited("a"), starting("a", 2), exited("b"))
        await trio.sleep(3)

        assert (len(made.eyes.asked), made.told()) == (1, [])


async def test_who_lost_its_leader_is_not_judged_until_its_end_is_overdue(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as made:
        made.eyes.sight = lambda _: Sight(alive=False)
        await made.run_worker()
        await trio.sleep(18)
        before = made.states()
        await trio.sleep(100)

        assert (before, made.states()) == ([], [("unknown", False)])


async def test_where_nobody_could_look_for_a_while_nothing_is_known_until_it_was_watched_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as made:
        await made.run_worker()
        await trio.sleep(402)
        made.told()
        made.eyes.takes = 100.0
        await trio.sleep(50)
        made.eyes.takes = 0.0
        await trio.sleep(150)

        told = made.told()

    assert [(each.state, each.confirmed) for each in told] == [("unknown", False), ("quiet", False), ("stalled", True)]
    assert [round(each.at - EPOCH) for each in told] == [505, 515, 565]
    assert told[0].reasons == ("nobody looked for 1m45s",)


async def test_while_the_keeper_is_stopped_nothing_is_known_of_anybody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch, names="a b") as made:
        await made.run_worker("a")
        await made.run_worker("b")
        await trio.sleep(17)
        made.told()
        made.eyes.reads = False
        await trio.sleep(30)
        stopped = made.states()
        made.eyes.reads = True
        await trio.sleep(10)

        assert stopped == [("unknown", False)] * 2
        assert made.states() == [("working", True)] * 2


async def test_of_many_that_print_only_so_many_ends_are_read_at_once_and_all_in_turn(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"w{number}" for number in range(250)]
    async with rig(monkeypatch, names=" ".join(names)) as made:
        for name in names:
            await made.happen(starting(name), started(name), output(name, length=5))
        await trio.sleep(16)

    read = [[each.worker for each in asked if each.tail is not None] for asked in made.eyes.asked[:3]]
    assert [len(each) for each in read] == [100, 100, 50]
    assert len({worker for each in read for worker in each}) == 250


async def test_where_the_journal_takes_nothing_it_waits_and_looks_on_later(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch, names="a b c", room=1) as made:
        for name in "abc":
            await made.run_worker(name)
        await trio.sleep(60)
        looks = len(made.eyes.asked)
        first = made.inbox.receive_nowait().event
        with trio.move_on_after(60):
            async for append in made.inbox:
                last = append.event

        assert (looks, round(first.at - EPOCH)) == (1, 5)
        assert isinstance(last, WorkerVerdict)
        assert last.at - EPOCH > 65
        assert len(made.eyes.asked) > 10


async def test_it_returns_when_the_records_end_and_keeps_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as made:
        made.eyes.takes = 1000.0
        await made.run_worker()
        await trio.sleep(6)
        made.records.close()
        await trio.sleep(1)

        assert made.eyes.closed == 1


async def test_where_a_look_fails_it_fails_and_keeps_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Wanted) -> Sight:
        raise OSError("no more threads")

    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="no more threads"), flatten_subgroups=True):
        async with rig(monkeypatch) as made:
            made.eyes.sight = fail
            await made.run_worker()
            await trio.sleep(6)

    assert made.eyes.closed == 1


async def test_one_that_begins_again_tells_only_what_is_new_and_confirms_nothing_that_it_did_not_watch(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(monkeypatch) as made:
        await made.run_worker()
        await trio.sleep(200)
        told = made.told()
    async with rig(monkeypatch) as again:
        again.records.send_nowait(Record(1, starting("a", at=EPOCH)))
        again.records.send_nowait(Record(2, started("a", at=EPOCH)))
        for number, event in enumerate(told, 3):
            again.records.send_nowait(Record(number, event))
        await trio.sleep(200)
        before = again.states()
        await trio.sleep(200)

        assert told[-1].state == "quiet"
        assert (before, again.states()) == ([], [("stalled", True)])


async def test_verdicts_follow_the_policy_of_each_task(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = {A: Policy.of(quiet_after=10.5, stalled_after=20.5, heartbeat=1.0), WorkerId("b"): Policy(heartbeat=1.0)}
    async with rig(monkeypatch, policies=policies, beat=1.0) as made:
        await made.run_worker("a")
        await made.run_worker("b")
        await trio.sleep(30)

        told = made.told()

    at = {(each.worker, each.state): round(each.at - EPOCH) for each in told}
    assert (at[A, "quiet"], at[A, "stalled"]) == (11, 22)
    assert not {(WorkerId("b"), "quiet"), (WorkerId("b"), "stalled")} & at.keys()


async def test_while_it_judges_many_others_get_their_turns(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = _Counted({WorkerId(f"w{number}"): Policy() for number in range(200)})
    async with rig(monkeypatch, policies=policies) as made:
        for name in policies:
            await made.happen(starting(name))
        for seconds in (1, 5):
            await wait_all_tasks_blocked()
            mock_clock.jump(seconds)
        await wait_all_tasks_blocked()
        told, policies.asked = made.told(), 0
        mock_clock.jump(5)
        seen = [0]
        while seen[-1] < 200:
            await trio.lowlevel.checkpoint()
            seen.append(policies.asked)

        assert (len(told), made.told()) == (200, [])
        assert max(later - before for before, later in pairwise(seen)) <= 2 * 25  # two turns may follow each other
