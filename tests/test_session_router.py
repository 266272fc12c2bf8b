"""Events find their sessions: children too, early ones too, and nobody is held up by a session that does not listen."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.session_messages import (
    Arrived,
    Connected,
    Disconnected,
    Look,
    Missing,
    Reconcile,
    Register,
    RouterInput,
    SessionInput,
    Unregister,
)
from actors.session_router import SessionRouter
from protocols.opencode import Envelope, Snapshot

__all__: list[str] = []

BOOT = Connected(1)


class Routing:
    """A router at work, and the ends of its channels."""

    def __init__(self, folder: Path) -> None:
        self.send, inbox = trio.open_memory_channel[RouterInput](0)
        looks, self.looks = trio.open_memory_channel[Look](0)
        directories, self.directories = trio.open_memory_channel[str](0)
        self.router = SessionRouter(
            inbox=inbox,
            looks=looks,
            directories=directories,
            folder=folder,
            limiter=trio.CapacityLimiter(1),
            now=lambda: 1000.0 + trio.current_time(),
        )
        self.counts = self.router.counts

    async def register(
        self, session: str, directory: str = "/d", size: int = 1000
    ) -> trio.MemoryReceiveChannel[SessionInput]:
        outbox, inbox = trio.open_memory_channel[SessionInput](size)
        await self.send.send(Register(session, directory, outbox))
        await wait_all_tasks_blocked()
        return inbox

    async def arrive(self, *events: Envelope) -> None:
        await self.send.send(Arrived(events))
        await wait_all_tasks_blocked()

    async def look(self) -> Look:
        return await self.looks.receive()


@asynccontextmanager
async def _routing(folder: Path) -> AsyncIterator[Routing]:
    routing = Routing(folder)
    async with trio.open_nursery() as nursery:
        await nursery.start(routing.router.run)
        yield routing
        nursery.cancel_scope.cancel()


def _event(
    session: str, number: int, kind: str = "message.updated", *, parent: str = "", directory: str = "/d", size: int = 0
) -> Envelope:
    payload = msgspec.json.encode({"id": f"evt_{number}", "type": kind, "x": "x" * size})
    return Envelope(f"evt_{number}", kind, directory, session, parent, payload, 1000.0)


def _snapshot(session: str, at: float, children: Sequence[str] = ()) -> Snapshot:
    below = msgspec.json.encode([{"id": child} for child in children])
    return Snapshot(session, at, True, b"", b"[]", below, b"[]", b"[]", b"[]")


def _all(inbox: trio.MemoryReceiveChannel[SessionInput]) -> list[SessionInput]:
    found: list[SessionInput] = []
    while inbox.statistics().current_buffer_used:
        found.append(inbox.receive_nowait())
    return found


async def test_each_session_gets_its_events_in_order_and_none_of_another(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        inboxes = {f"s{number}": await routing.register(f"s{number}", f"/{number % 2}") for number in range(4)}
        events = [_event(f"s{number % 4}", number) for number in range(40)]

        await routing.arrive(*events[:7])
        await routing.arrive(*events[7:])

        for session, inbox in inboxes.items():
            assert _all(inbox) == [event for event in events if event.session == session]
        assert routing.counts.routed == 40


async def test_a_session_hears_first_that_the_stream_is_there_then_what_came_before_it_registered(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    early = [_event("s", 1), _event("c", 2, parent="s"), _event("s", 3), _event("c", 4)]
    async with _routing(tmp_path) as routing:
        await routing.send.send(BOOT)
        await routing.arrive(*early, _event("other", 9))

        inbox = await routing.register("s")
        await routing.arrive(_event("s", 5))

        assert _all(inbox) == [BOOT, *early, _event("s", 5)]
        assert await routing.look() == Look("/d", ("s",))


async def test_children_and_their_children_belong_to_the_root(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with _routing(tmp_path) as routing:
        inbox = await routing.register("s")
        events = [
            _event("c", 1, "session.created", parent="s"),
            _event("g", 2, "session.created", parent="c"),
            _event("g", 3, "permission.asked"),
            _event("c", 4),
        ]

        await routing.arrive(*events)

        assert _all(inbox) == events


async def test_a_child_whose_beginning_was_missed_is_known_from_the_snapshot_of_its_parent(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        inbox = await routing.register("s")
        early = [_event("c", 1), _event("g", 2, parent="c")]
        await routing.arrive(*early)

        snapshot = _snapshot("s", 2000.0, ["c"])
        await routing.send.send(snapshot)
        await routing.send.send(_snapshot("c", 2000.0))
        await routing.arrive(_event("g", 3))

        assert _all(inbox) == [snapshot, *early, _snapshot("c", 2000.0), _event("g", 3)]


async def test_an_event_that_comes_twice_is_told_once(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with _routing(tmp_path) as routing:
        inbox = await routing.register("s")

        await routing.arrive(_event("s", 1), _event("s", 2), _event("s", 1))
        await routing.arrive(_event("s", 2), _event("s", 3))

        assert _all(inbox) == [_event("s", number) for number in (1, 2, 3)]
        assert routing.counts.duplicates == 2


async def test_unknown_types_are_passed_on_and_counted(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with _routing(tmp_path) as routing:
        inbox = await routing.register("s")

        await routing.arrive(_event("s", 1, "session.next.thing"), _event("s", 2, "session.idle"))

        assert [each.type for each in _all(inbox) if isinstance(each, Envelope)] == [
            *("session.next.thing", "session.idle"),
        ]
        assert routing.counts.others == {"session.next.thing": 1}


async def test_what_is_about_nobody_is_logged_by_the_server_after_a_minute(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    async with _routing(tmp_path) as routing:
        await routing.arrive(_event("stranger", 1), _event("", 2, "plugin.added"))
        mock_clock.jump(70)
        await wait_all_tasks_blocked()
        inbox = await routing.register("stranger")

        log = tmp_path / "server-events.jsonl"
        while not log.exists() or log.read_bytes().count(b"\n") < 2:
            await trio.lowlevel.checkpoint()
        lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]

        assert _all(inbox) == []
        assert [line["event"]["id"] for line in lines] == ["evt_2", "evt_1"]
        assert lines[0]["directory"] == "/d"
        assert (routing.counts.nobody, routing.counts.unlogged) == (2, 0)
        assert log.stat().st_mode & 0o777 == 0o600


async def test_a_directory_that_is_disposed_is_told_to_its_sessions_which_are_looked_at(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        here, there = await routing.register("s"), await routing.register("t", "/elsewhere")
        assert {(await routing.look()).directory, (await routing.look()).directory} == {"/d", "/elsewhere"}

        disposed = _event("", 1, "server.instance.disposed")
        await routing.arrive(disposed)

        assert (_all(here), _all(there)) == ([disposed], [])
        assert await routing.look() == Look("/d", ("s",))


async def test_all_hear_of_the_connection_and_are_looked_at_after_each(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        one, two = await routing.register("s"), await routing.register("t", "/e")
        await wait_all_tasks_blocked()
        await routing.look(), await routing.look()

        gone = Disconnected("cut")
        for message in (BOOT, gone, Connected(2)):
            await routing.send.send(message)
        await wait_all_tasks_blocked()

        assert _all(one) == _all(two) == [BOOT, gone, Connected(2)]
        looks = [await routing.looks.receive() for _ in range(2)]
        assert {(each.directory, each.sessions, each.thorough) for each in looks} == {
            ("/d", ("s",), True),
            ("/e", ("t",), True),
        }


async def test_with_a_stream_for_each_directory_only_its_sessions_hear_of_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        one, two = await routing.register("s", "/d"), await routing.register("t", "/e")

        await routing.send.send(Connected(1, "/d"))
        await routing.send.send(Disconnected("cut", "/d"))
        await wait_all_tasks_blocked()

        assert _all(one) == [Connected(1, "/d"), Disconnected("cut", "/d")]
        assert _all(two) == []
        assert [await routing.directories.receive() for _ in range(2)] == ["/d", "/e"]


async def test_every_30_seconds_each_session_is_looked_at(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with _routing(tmp_path) as routing:
        inbox = await routing.register("s")
        assert (await routing.look()).thorough

        began = trio.current_time()
        look = await routing.looks.receive()

        assert (look, trio.current_time() - began) == (Look("/d", ("s",), thorough=False), 30.0)
        inbox.close()


async def test_doubts_that_come_while_the_reconciler_is_busy_become_one_look(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        inboxes = [await routing.register(name) for name in ("s", "t")]
        for session in ("s", "t", "s"):
            await routing.send.send(Reconcile(session))
        await wait_all_tasks_blocked()

        assert (await routing.look()).sessions == ("s",)
        await wait_all_tasks_blocked()
        assert set((await routing.look()).sessions) == {"s", "t"}
        assert len(inboxes) == 2


async def test_an_answer_that_is_late_never_comes_after_a_newer_one(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with _routing(tmp_path) as routing:
        inbox = await routing.register("s")

        for at in (1010.0, 1009.0, 1011.0):
            await routing.send.send(_snapshot("s", at))
        await trio.sleep(15)
        await routing.send.send(Connected(2))
        await routing.send.send(_snapshot("s", 1014.0))
        await routing.send.send(_snapshot("s", 1016.0))
        await wait_all_tasks_blocked()

        assert _all(inbox) == [_snapshot("s", 1010.0), _snapshot("s", 1011.0), Connected(2), _snapshot("s", 1016.0)]


async def test_a_session_that_is_unregistered_gets_no_more_and_its_inbox_is_closed(tmp_path: Path) -> None:
    async with _routing(tmp_path) as routing:
        inbox = await routing.register("s")
        await routing.arrive(_event("c", 1, parent="s"))

        await routing.send.send(Unregister("s"))
        await routing.arrive(_event("s", 2), _event("c", 3))

        assert [each async for each in inbox] == [_event("c", 1, parent="s")]
        assert routing.counts.nobody == 2


async def test_a_session_that_registers_again_gets_the_rest_in_its_new_inbox(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        first = await routing.register("s")
        await routing.arrive(_event("c", 1, parent="s"))
        second = await routing.register("s")
        await routing.arrive(_event("s", 2), _event("c", 3))

        assert [each async for each in first] == [_event("c", 1, parent="s")]
        assert _all(second) == [_event("s", 2), _event("c", 3)]


async def test_a_session_that_registers_while_the_stream_is_gone_hears_why(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        await routing.send.send(Disconnected("wrong password"))

        inbox = await routing.register("s")

        assert _all(inbox) == [Disconnected("wrong password")]


async def test_a_session_that_takes_nothing_holds_up_nobody_and_is_told_what_it_missed(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with _routing(tmp_path) as routing:
        slow, quick = await routing.register("slow", size=1), await routing.register("quick", size=20_000)
        while (await routing.look()).sessions != ("quick",):
            pass

        for number in range(10_000):
            await routing.send.send(Arrived([_event("slow", 2 * number), _event("quick", 2 * number + 1)]))
        await wait_all_tasks_blocked()
        assert len(_all(quick)) == 10_000

        told: list[SessionInput] = []
        with trio.move_on_after(5):
            while True:
                told.append(await slow.receive())
        missing = [each.count for each in told if isinstance(each, Missing)]
        events = [each for each in told if isinstance(each, Envelope)]
        assert sum(missing) + len(events) == 10_000
        assert events[-1] == _event("slow", 19_998)
        assert await routing.look() == Look("/d", ("slow",))


async def test_where_nobody_reads_an_inbox_any_more_the_others_go_on(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with _routing(tmp_path) as routing:
        gone, here = await routing.register("gone"), await routing.register("here")
        gone.close()

        await routing.arrive(_event("gone", 1), _event("here", 2))
        await trio.sleep(31)

        assert _all(here) == [_event("here", 2)]


async def test_the_router_ends_with_its_last_sender_and_closes_the_inboxes(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    routing = Routing(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(routing.router.run)
        inbox = await routing.register("s")
        await routing.arrive(_event("s", 1))
        routing.send.close()

    assert [each async for each in inbox] == [_event("s", 1)]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["", "a", "b", "c"])), max_size=30), st.data())
def test_whenever_a_session_registers_it_gets_all_of_its_family_once_and_in_order(
    steps: list[tuple[str, str]], data: st.DataObject
) -> None:
    """``a`` is the root; whoever names a parent says so in its first event."""
    parents = {"b": "a", "c": "b", "d": ""}
    seen: set[str] = set()
    events: list[Envelope] = []
    for number, (session, _) in enumerate(steps):
        first = session not in seen
        seen.add(session)
        events.append(_event(session, number, parent=parents.get(session, "") if first else ""))
    when = data.draw(st.integers(0, len(events)))

    async def route() -> list[SessionInput]:
        async with _routing(Path("/nowhere")) as routing:
            for event in events[:when]:
                await routing.send.send(Arrived([event]))
            inbox = await routing.register("a")
            await routing.arrive(*events[when:])
            return _all(inbox)

    found = trio.run(route, clock=MockClock(autojump_threshold=0))

    family = {"a"} | {each for each in "bc" if _reaches(each, parents, seen)}
    assert sorted(found, key=_number) == [event for event in events if event.session in family]
    for session in family:
        assert [each for each in found if _of(each) == session] == [each for each in events if each.session == session]


def _reaches(session: str, parents: dict[str, str], seen: set[str]) -> bool:
    while session in seen and session != "a":
        session = parents[session]
    return session == "a"


def _number(item: SessionInput) -> int:
    assert isinstance(item, Envelope)
    return int(item.id.removeprefix("evt_"))


def _of(item: SessionInput) -> str:
    assert isinstance(item, Envelope)
    return item.session
