"""One reader for one server: it notices silence, comes back, and says what it knows of the connection."""

from collections.abc import Sequence
from math import inf
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from actors.session_messages import (
    Arrived,
    Connected,
    Disconnected,
    Look,
    Register,
    RouterInput,
    SessionInput,
)
from actors.session_router import SessionRouter
from actors.stream_reader import StreamReader
from protocols.errors import ServerError
from protocols.opencode import Snapshot
from tests.stream_server import CONNECTED, HEARTBEAT, ScriptedStreams, Step, event

__all__: list[str] = []

CUT = ServerError("cut off", "broken")
BEATS: list[Step] = [10.0, HEARTBEAT] * 99


class Reading:
    """A reader at work, and what it has told."""

    def __init__(self, streams: ScriptedStreams, nursery: trio.Nursery) -> None:
        self.streams = streams
        self.nursery = nursery
        self.boots = iter(range(100))
        self.to_reader, self._directories = trio.open_memory_channel[str](8)
        self.outbox, self.inbox = trio.open_memory_channel[RouterInput](64)

    async def start(self, **fields: object) -> None:
        reader = StreamReader(
            open_stream=self.streams.open,
            outbox=self.outbox,
            directories=self._directories,
            now=lambda: 1.0,
            random=lambda: 1.0,
            **fields,  # type: ignore[arg-type]
        )
        await self.nursery.start(reader.run)

    async def take(self, count: int) -> list[RouterInput]:
        return [await self.inbox.receive() for _ in range(count)]


async def _told(scripts: Sequence[Sequence[Step]], count: int) -> tuple[list[RouterInput], ScriptedStreams]:
    streams = ScriptedStreams(scripts)
    async with trio.open_nursery() as nursery:
        reading = Reading(streams, nursery)
        await reading.start()
        told = await reading.take(count)
        nursery.cancel_scope.cancel()
    return told, streams


def _kinds(told: Sequence[RouterInput]) -> list[str]:
    """In short, each event by its type."""
    found: list[str] = []
    for each in told:
        match each:
            case Connected(boot, directory):
                found.append(f"connected {boot}{directory}")
            case Disconnected(why, directory):
                found.append(f"disconnected{directory}: {why}")
            case Arrived(events):
                found += [envelope.type for envelope in events]
            case _:
                found.append(str(each))
    return found


async def test_it_says_connected_when_the_server_does_and_passes_on_what_follows(autojump_clock: MockClock) -> None:
    first = event("session.created", 1, sessionID="s")
    told, _ = await _told([[5.0, CONNECTED + first[:30], first[30:], HEARTBEAT, event("x", 2), 100.0]], 3)

    assert _kinds(told) == ["connected 1", "session.created", "x"]


async def test_copies_for_the_servers_own_log_are_no_events(autojump_clock: MockClock) -> None:
    copy = b'data: {"payload":{"type":"sync","syncEvent":{"id":"evt_1"},"id":"evt_1"}}\n\n'
    told, _ = await _told([[CONNECTED, copy, event("session.idle", 1), 100.0]], 2)

    assert _kinds(told) == ["connected 1", "session.idle"]


async def test_heartbeats_keep_a_connection_and_silence_ends_it_after_25_seconds(autojump_clock: MockClock) -> None:
    told, streams = await _told([[CONNECTED, *BEATS[:60], inf], [CONNECTED, inf]], 3)

    assert _kinds(told) == ["connected 1", "disconnected: not a byte came for 25 s", "connected 1"]
    assert [at for at, _ in streams.opened][1] - streams.opened[0][0] == pytest.approx(325, abs=1.1)


async def test_a_comment_is_a_byte_too(autojump_clock: MockClock) -> None:
    comments: list[Step] = [20.0, b": still here\n\n"] * 9
    told, _ = await _told([[CONNECTED, *comments, event("x"), inf]], 2)

    assert _kinds(told) == ["connected 1", "x"]


async def test_a_connection_that_never_says_a_word_is_given_up(autojump_clock: MockClock) -> None:
    told, streams = await _told([[inf], [CONNECTED, inf]], 2)

    assert _kinds(told) == ["disconnected: not a byte came for 25 s", "connected 1"]
    assert len(streams.opened) == 2


async def test_it_comes_back_at_once_and_then_with_growing_pauses_for_ever(autojump_clock: MockClock) -> None:
    nobody = ServerError("nobody listens", "unreachable")
    told, streams = await _told([[CONNECTED, 20.0], *[[nobody]] * 40, [CONNECTED, inf]], 4)

    assert _kinds(told) == [
        *("connected 1", "disconnected: the server ended the stream"),
        *("disconnected: nobody listens", "connected 2"),
    ]
    pauses = [later - earlier for (earlier, _), (later, _) in zip(streams.opened[1:], streams.opened[2:], strict=False)]
    assert pauses[:8] == pytest.approx([0.25, 0.5, 1, 2, 4, 5, 5, 5])
    assert streams.opened[1][0] - streams.opened[0][0] == pytest.approx(20, abs=0.01)


async def test_a_server_that_was_away_is_another_one_and_one_that_cut_us_off_is_not(autojump_clock: MockClock) -> None:
    nobody = ServerError("nobody listens", "unreachable")
    told, _ = await _told([[CONNECTED, 9.0, CUT], [CONNECTED, 9.0, CUT], [nobody], [CONNECTED, inf]], 6)

    assert [each.boot for each in told if isinstance(each, Connected)] == [1, 1, 2]


async def test_who_starts_the_server_says_its_number(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        reading = Reading(ScriptedStreams([[CONNECTED, 9.0], [CONNECTED, inf]]), nursery)
        boots = iter([7, 9])
        await reading.start(boot=lambda: next(boots))

        told = await reading.take(3)
        nursery.cancel_scope.cancel()

    assert [each.boot for each in told if isinstance(each, Connected)] == [7, 9]


async def test_what_is_no_event_is_counted_and_ends_nothing(autojump_clock: MockClock) -> None:
    told, _ = await _told([[CONNECTED, b"data: {nonsense\n\n" * 2 + event("x"), event("y"), inf]], 3)

    assert [each.broken for each in told if isinstance(each, Arrived)] == [2, 0]
    assert _kinds(told)[1:] == ["x", "y"]


@pytest.mark.parametrize("refusal", ["not-found", "closed at once", "cut at once"])
async def test_where_there_is_no_stream_of_all_each_directory_has_one(autojump_clock: MockClock, refusal: str) -> None:
    missing = ServerError("no such call", "not-found") if refusal == "not-found" else None
    cut: list[Step] = [CONNECTED, CUT] if refusal == "cut at once" else [CONNECTED]
    streams = ScriptedStreams([cut] * 3, refuse=lambda directory: None if directory else missing)
    streams.by_directory = {"/a": [CONNECTED, event("a", 1), *BEATS], "/b": [CONNECTED, event("b", 2), *BEATS]}
    async with trio.open_nursery() as nursery:
        reading = Reading(streams, nursery)
        await reading.start()
        await reading.to_reader.send("/a")
        await trio.sleep(60)
        await reading.to_reader.send("/b")
        await trio.testing.wait_all_tasks_blocked()
        told = _kinds(await reading.take(reading.inbox.statistics().current_buffer_used))
        nursery.cancel_scope.cancel()

    assert [each for each in told if "disconnected:" not in each and each != "connected 1"] == [
        *("connected 1/a", "a", "connected 1/b", "b"),
    ]
    assert sum(directory is None for _, directory in streams.opened) == (1 if missing else 3)


async def test_where_that_server_goes_away_the_next_one_is_asked_for_the_stream_of_all(
    autojump_clock: MockClock,
) -> None:
    old = True

    def refuse(directory: str | None) -> ServerError | None:
        if old:
            return None if directory else ServerError("no such call", "not-found")
        return ServerError("nobody listens", "unreachable") if directory else None

    streams = ScriptedStreams([[], [CONNECTED, event("x"), inf]], refuse=refuse)
    streams.by_directory = {"/a": [CONNECTED, *BEATS[:6]], "/b": [CONNECTED, *BEATS]}
    async with trio.open_nursery() as nursery:
        reading = Reading(streams, nursery)
        await reading.start()
        await reading.to_reader.send("/a")
        await reading.to_reader.send("/b")
        await trio.sleep(20)
        old = False
        told = _kinds(await reading.take(8))
        nursery.cancel_scope.cancel()

    assert told[0] == "disconnected: no such call"
    assert set(told[1:3]) == {"connected 1/a", "connected 1/b"}
    assert told[3:] == [
        *("disconnected/a: the server ended the stream", "disconnected/a: nobody listens"),
        *("disconnected/b: the server went away", "connected 2", "x"),
    ]


async def test_a_disposed_directory_is_subscribed_again_without_a_pause(autojump_clock: MockClock) -> None:
    disposed = event("server.instance.disposed", 1, directory="/a")
    streams = ScriptedStreams(refuse=lambda each: None if each else ServerError("no such call", "not-found"))
    streams.by_directory = {"/a": [CONNECTED, 1.0, disposed]}
    async with trio.open_nursery() as nursery:
        reading = Reading(streams, nursery)
        await reading.start()
        await reading.to_reader.send("/a")
        told = _kinds(await reading.take(13))
        nursery.cancel_scope.cancel()

    assert told[1:4] == ["connected 1/a", "server.instance.disposed", "disconnected/a: the server ended the stream"]
    assert told[4:] == told[1:4] * 3
    assert [at for at, each in streams.opened if each][:3] == pytest.approx([0, 1, 2], abs=0.1)


async def test_an_event_of_200_kb_comes_whole_however_it_is_cut(autojump_clock: MockClock) -> None:
    large = event("message.part.updated", 1, sessionID="s", text="\u2028x" * 50_000)
    pieces = [large[start : start + 9973] for start in range(0, len(large), 9973)]
    told, _ = await _told([[CONNECTED, *pieces, inf]], 2)

    assert isinstance(told[1], Arrived)
    (envelope,) = told[1].events
    assert (envelope.session, len(large) - len(envelope.payload)) == (
        "s",
        len(b'data: {"directory":"/d","payload":}\n\n'),
    )


async def test_where_only_heartbeats_come_the_end_of_a_session_is_told_by_a_snapshot(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    to_router, inbox = trio.open_memory_channel[RouterInput](8)
    looks, to_answer = trio.open_memory_channel[Look](0)
    directories, to_reader = trio.open_memory_channel[str](1)
    outbox, session = trio.open_memory_channel[SessionInput](8)
    router = SessionRouter(
        inbox=inbox, looks=looks, directories=directories, folder=tmp_path, limiter=trio.CapacityLimiter(1),
        now=trio.current_time,
    )  # fmt: skip
    streams = ScriptedStreams([[CONNECTED, *BEATS]])
    reader = StreamReader(open_stream=streams.open, outbox=to_router, directories=to_reader, now=trio.current_time)
    async with trio.open_nursery() as nursery:
        await nursery.start(router.run)
        await nursery.start(reader.run)
        await to_router.send(Register("s", "/d", outbox))
        told: list[SessionInput] = []
        for _ in range(4):
            look = await to_answer.receive()
            await to_router.send(Snapshot(look.sessions[0], trio.current_time(), True, *[b"[]"] * 6))
            told.append(await session.receive())
        nursery.cancel_scope.cancel()

    assert sum(isinstance(each, Snapshot) for each in told) == 3
    assert len(streams.opened) == 1
