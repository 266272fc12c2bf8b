"""What the server says when it is asked, put together for each session and its children."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.reconciler import Reconciler
from actors.session_messages import Look, RouterInput
from protocols.errors import ServerError, ServerErrorKind
from protocols.opencode import Snapshot

__all__: list[str] = []


@dataclass
class Server:
    """Sessions, each with its children and when it changed."""

    children_of: dict[str, dict[str, float]]
    busy: list[dict[str, str]] = field(default_factory=lambda: [{}])
    """What `/session/status` says, time by time; the last for ever."""
    waiting: list[str] = field(default_factory=list)
    """The sessions that wait for a permission."""
    failures: int = 0
    broken: str = ""
    """The session whose messages cannot be had."""
    slow: str = ""
    """The session whose messages take too long."""
    kind: ServerErrorKind = "late"
    """Of the failures."""
    large: int = 0
    """More messages than these are too many bytes."""
    calls: Counter[str] = field(default_factory=Counter)

    async def session_status(self, directory: str) -> bytes:
        await self._call(f"status {directory}")
        states = self.busy.pop(0) if len(self.busy) > 1 else self.busy[0]
        return msgspec.json.encode({session: {"type": state} for session, state in states.items()})

    async def permissions(self, directory: str = "") -> bytes:
        await self._call(f"permissions {directory}")
        return msgspec.json.encode([{"id": f"per_{each}", "sessionID": each} for each in self.waiting])

    async def questions(self, directory: str = "") -> bytes:
        await self._call(f"questions {directory}")
        return b"[]"

    async def messages(self, session: str, limit: int = 0) -> bytes:
        await self._call(f"messages {session}")
        if session not in self.children_of:
            raise ServerError("no such session", "not-found", 404)
        if session == self.broken:
            raise ServerError("500, look at the log", "broken", 500)
        if session == self.slow:
            raise ServerError("no answer within 15 s", "late")
        if self.large and limit > self.large:
            raise ServerError("too many bytes", "too-big")
        return msgspec.json.encode([{"of": session, "limit": limit}])

    async def children(self, session: str) -> bytes:
        await self._call(f"children {session}")
        below = self.children_of[session]
        return msgspec.json.encode([{"id": each, "time": {"updated": at}} for each, at in below.items()])

    async def todos(self, session: str) -> bytes:
        await self._call(f"todos {session}")
        return b"[]"

    async def _call(self, name: str) -> None:
        self.calls[name] += 1
        await trio.sleep(0.01)
        if self.failures:
            self.failures -= 1
            raise ServerError("it is busy", self.kind)


async def _answers(server: Server, *looks: Look, at: float = 50.0) -> list[Snapshot]:
    send_look, inbox = trio.open_memory_channel[Look](0)
    outbox, receive = trio.open_memory_channel[RouterInput](100)
    reconciler = Reconciler(
        inbox=inbox, outbox=outbox, client=server, now=lambda: at + trio.current_time(), random=lambda: 1.0
    )
    found: list[Snapshot] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(reconciler.run)
        for look in looks:
            await send_look.send(look)
            await trio.sleep(100)
            while receive.statistics().current_buffer_used:
                item = receive.receive_nowait()
                assert isinstance(item, Snapshot)
                found.append(item)
        send_look.close()
    return found


async def test_a_session_comes_before_its_children_with_what_they_wait_for(autojump_clock: MockClock) -> None:
    server = Server({"s": {"c": 1.0}, "c": {"g": 1.0}, "g": {}, "x": {}}, [{"c": "busy"}], ["g", "x", "c"])

    found = await _answers(server, Look("/d", ("s",)))

    assert [(each.session, each.known, each.status) for each in found] == [
        *(("s", True, b""), ("c", True, b'{"type":"busy"}'), ("g", True, b"")),
    ]
    asked = [[each["sessionID"] for each in msgspec.json.decode(snapshot.permissions)] for snapshot in found]
    assert asked == [["c", "g"], ["c", "g"], ["g"]]
    assert found[0].messages == b'[{"of":"s","limit":100}]'


async def test_it_is_as_old_as_its_first_question(autojump_clock: MockClock) -> None:
    (snapshot,) = await _answers(Server({"s": {}}), Look("/d", ("s",)))

    assert snapshot.at == pytest.approx(50.0, abs=0.001)


async def test_a_session_that_is_not_there_is_unknown_and_the_others_are_told(autojump_clock: MockClock) -> None:
    found = await _answers(Server({"t": {}}), Look("/d", ("s", "t")))

    assert [(each.session, each.known, each.messages) for each in found] == [
        *(("s", False, b"[]"), ("t", True, b'[{"of":"t","limit":100}]')),
    ]


async def test_what_was_busy_before_or_after_the_messages_were_read_is_busy(autojump_clock: MockClock) -> None:
    server = Server({"s": {}, "t": {}}, [{"s": "busy"}, {"t": "retry"}] * 2)

    found = await _answers(server, Look("/d", ("s", "t")))

    assert [each.status for each in found] == [b'{"type":"busy"}', b'{"type":"retry"}']


async def test_what_became_idle_meanwhile_is_looked_at_once_more(autojump_clock: MockClock) -> None:
    server = Server({"s": {}}, [{"s": "busy"}, {}])

    (snapshot,) = await _answers(server, Look("/d", ("s",)))

    assert snapshot.status == b""
    assert server.calls["messages s"] == 2


async def test_children_that_are_idle_and_did_not_change_are_left_out_unless_it_has_to_be_thorough(
    autojump_clock: MockClock,
) -> None:
    server = Server({"s": {"idle": 1.0, "busy": 1.0}, "idle": {}, "busy": {}}, [{"busy": "busy"}])
    brief = Look("/d", ("s",), thorough=False)

    found = await _answers(server, Look("/d", ("s",)), brief, Look("/d", ("s",)))

    assert [each.session for each in found] == ["s", "idle", "busy", "s", "busy", "s", "idle", "busy"]


async def test_a_child_that_changed_is_looked_at(autojump_clock: MockClock) -> None:
    server = Server({"s": {"c": 1.0}, "c": {}})
    brief = Look("/d", ("s",), thorough=False)

    first = await _answers(server, brief, brief)
    assert [each.session for each in first] == ["s", "c", "s"]

    server.children_of["s"]["c"] = 2.0
    assert [each.session for each in await _answers(server, brief)] == ["s", "c"]


async def test_what_fails_is_tried_again_a_few_times(autojump_clock: MockClock) -> None:
    few, many = Server({"s": {}}, failures=3), Server({"s": {}}, failures=4)

    assert len(await _answers(few, Look("/d", ("s",)))) == 1
    assert len(await _answers(many, Look("/d", ("s",)), Look("/d", ("s",)))) == 1


async def test_a_question_whose_connection_was_cut_is_asked_again_by_itself(autojump_clock: MockClock) -> None:
    server = Server({name: {} for name in "abcd"}, failures=2, kind="broken")

    assert len(await _answers(server, Look("/d", tuple("abcd")))) == 4

    assert server.calls["status /d"] == 4
    assert server.calls["permissions /d"] == 1


async def test_where_messages_are_too_large_fewer_are_asked_for(autojump_clock: MockClock) -> None:
    (snapshot,) = await _answers(Server({"s": {}}, large=7), Look("/d", ("s",)))

    assert snapshot.messages == b'[{"of":"s","limit":6}]'


async def test_a_directory_is_asked_once_for_all_of_its_sessions(autojump_clock: MockClock) -> None:
    server = Server({name: {} for name in "abcd"})

    assert len(await _answers(server, Look("/d", tuple("abcd")))) == 4

    assert (server.calls["status /d"], server.calls["permissions /d"], server.calls["questions /d"]) == (2, 1, 1)


async def test_one_session_that_cannot_be_looked_at_holds_up_no_other(autojump_clock: MockClock) -> None:
    server = Server({name: {} for name in "abc"}, broken="b")

    found = await _answers(server, Look("/d", ("a", "b", "c")))

    assert [each.session for each in found] == ["a", "c"]


async def test_a_session_that_takes_too_long_comes_last_the_next_time(autojump_clock: MockClock) -> None:
    server = Server({name: {} for name in "abc"}, slow="a")

    found = await _answers(server, Look("/d", ("a", "b", "c")))

    assert [each.session for each in found] == ["b", "c"]
    assert server.calls["messages a"] == 4


async def test_of_a_session_with_a_child_that_cannot_be_looked_at_nothing_is_told(autojump_clock: MockClock) -> None:
    """It would seem to be over, though its child may work."""
    server = Server({"s": {"c": 1.0}, "c": {}, "t": {}}, broken="c")

    found = await _answers(server, Look("/d", ("s", "t")))

    assert [each.session for each in found] == ["t"]
