"""The supervisor's side of a keeper: what it asks again, when it gives a keeper up, what it holds of the workers."""

import json
import math
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from actors.adoption import Held
from actors.keeper import Keeper
from actors.keeper_link import KeeperLink, become_subreaper
from actors.keeper_service import KeeperService
from actors.keeper_table import Table
from actors.messages import Append
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk
from actors.strays import Strays
from protocols.adoption_events import WorkerLate
from protocols.errors import KeeperError
from protocols.events import Event
from protocols.fleet_events import KeeperLost, KeeperStarted
from protocols.ids import AttemptId, FleetId, TaskId, WorkerId
from protocols.keeper import (
    VERSION,
    Ended,
    Extend,
    Finished,
    Forget,
    Message,
    Reaped,
    Refusal,
    Reply,
    Report,
    Shutdown,
    Spawn,
    Spawned,
    Stdin,
    Stop,
    Welcome,
)
from protocols.keeper_codec import to_os
from protocols.keeper_inputs import Interrupt, Write
from protocols.layout import FleetFolder
from protocols.resumption import OpenAttempt, Resumption
from tests.process_trees import open_trees
from tests.surroundings import start

FLEET = FleetId(uuid.uuid4().hex)  # a run of these tests beside this one has processes of its own


class ScriptedLink(KeeperLink):
    """A keeper that answers what it is told to, and is gone when ``lasts`` requests were sent."""

    def __init__(
        self, answers: Callable[[dict[str, Any]], list[Message]] = lambda _: [], lasts: float = math.inf
    ) -> None:
        self.pid = 1
        self.welcome = Welcome(VERSION, 1, "boot", 1, ())
        self.asked: list[dict[str, Any]] = []
        self._answers = answers
        self._lasts = lasts
        self._outbox, self._inbox = trio.open_memory_channel[Message](math.inf)

    async def send(self, data: bytes, fds: object = ()) -> None:
        if len(self.asked) >= self._lasts:
            self._outbox.close()
            raise BrokenPipeError
        request = json.loads(data)
        self.asked.append(request)
        for message in self._answers(request):
            self._outbox.send_nowait(message)

    async def receive(self) -> tuple[Message, tuple[int, ...]] | None:
        try:
            return await self._inbox.receive(), ()
        except trio.EndOfChannel:
            return None

    def ops(self) -> list[str]:
        return [request["op"] for request in self.asked]


def _done(request: dict[str, Any]) -> list[Message]:
    return [Reply(request["id"], msgspec.Raw(b"{}"))] if "id" in request else []


def _spawn(tmp_path: Path, name: str, script: str = "true") -> Spawn:
    stdout, stderr, status = (to_os(os.fsencode(tmp_path / f"{name}.{kind}")) for kind in ("out", "err", "status"))
    return Spawn(
        attempt=AttemptId(name),
        executable="/bin/sh",
        argv=("sh", "-c", script),
        cwd=to_os(os.fsencode(tmp_path)),
        env=("PATH=/usr/bin:/bin", f"CALLBOARD_MARK={FLEET}/{name}"),
        stdin=Stdin("none"),
        attached=True,
        timeout=None,
        grace=0.3,
        linger=0.3,
        stdout=stdout,
        stderr=stderr,
        status=status,
    )


class Desk:
    """Where asks come from and answers, reports and events go to."""

    def __init__(self) -> None:
        self.asks, self.to_keeper = trio.open_memory_channel[KeeperAsk](100)
        self.events, self.told = trio.open_memory_channel[Append](1000)
        self.reports, self.reported = trio.open_memory_channel[Report](100)
        self.table = Table()

    async def serve(self, link: KeeperLink, *, resumed: bool = False) -> str:
        service = KeeperService(
            link=link,
            fleet=FLEET,
            table=self.table,
            strays=Strays(FLEET),
            outbox=self.events,
            reply_deadline=10.0,
            now=lambda: 0.0,
        )
        return await service.run(self.to_keeper, resumed=resumed)

    def ask(self, request: Any) -> trio.MemoryReceiveChannel[Answer]:
        answer, answered = trio.open_memory_channel[Answer](1)
        spawns = isinstance(request, Spawn)
        self.asks.send_nowait(AskSpawn(request, answer, self.reports, start("a")) if spawns else Ask(request, answer))
        return answered


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_keeper_that_does_not_answer_is_given_up_even_if_nobody_asked(
    autojump_clock: MockClock, desk: Desk
) -> None:
    link = ScriptedLink()

    assert await desk.serve(link) == "no answer within 10 s"

    assert link.ops() == ["ping"]


async def test_a_keeper_that_answers_is_kept_for_ever(autojump_clock: MockClock, desk: Desk) -> None:
    with trio.move_on_after(3600):
        await desk.serve(ScriptedLink(_done))

    assert trio.current_time() >= 3600


async def test_the_end_of_everything_may_take_its_time(autojump_clock: MockClock, desk: Desk) -> None:
    def answers(request: dict[str, Any]) -> list[Message]:
        return [] if request["op"] == "shutdown" else _done(request)

    link = ScriptedLink(answers)
    desk.ask(Shutdown())
    with trio.move_on_after(600):
        await desk.serve(link)

    assert link.ops().count("shutdown") == 1 and link.ops().count("ping") > 10


def _last_report(name: str) -> Ended:
    return Ended(
        attempt=AttemptId(name),
        code=0,
        signal=None,
        exited_at=0,
        at=0,
        reason="exit",
        stdout_bytes=0,
        stderr_bytes=0,
        swept=(),
    )


def _resumption(**fields: Any) -> Resumption:
    said: dict[str, Any] = {
        "epoch": 2,
        "last_seq": 0,
        "begun": True,
        "stopping": "",
        "grace": None,
        "statuses": {},
        "finished": (),
    }
    return Resumption(**{**said, "attempts": {}, "failures_by_cause": {}, **fields})


async def test_what_a_found_keeper_says_before_it_is_asked_waits_for_who_asks(
    autojump_clock: MockClock, desk: Desk
) -> None:
    def answers(request: dict[str, Any]) -> list[Message]:
        return [Reply(request["id"], msgspec.Raw(msgspec.json.encode(Spawned(1, 1, 0.0))))]

    left = OpenAttempt(
        task=TaskId("a"),
        number=1,
        id=AttemptId("a"),
        started=None,
        covered={},
        epoch=2,
        told=True,
        seen_at=0.0,
        silent_since=0.0,
    )
    desk.table.resumption = _resumption(open=(left,))
    link = ScriptedLink(answers)
    link._outbox.send_nowait(_last_report("a"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.serve, link)
        await trio.testing.wait_all_tasks_blocked()
        unasked = desk.reported.statistics().current_buffer_used
        desk.ask(msgspec.structs.replace(_spawn(Path("/nowhere"), "a"), resume=True))
        report = await desk.reported.receive()
        nursery.cancel_scope.cancel()

    assert (unasked, report) == (0, _last_report("a"))


async def test_what_is_told_of_an_attempt_after_its_end_is_kept_with_its_epoch_and_forgotten_by_the_keeper(
    autojump_clock: MockClock, desk: Desk
) -> None:
    desk.table.resumption = _resumption(concluded={AttemptId("a"): (TaskId("t"), 3, 1)})
    link = ScriptedLink(_done)
    link._outbox.send_nowait(_last_report("a"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.serve, link)
        append = await desk.told.receive()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert append.event == WorkerLate(at=0.0, worker=WorkerId("t"), attempt=3, epoch=1, what="ended")
    assert link.asked == [{"op": "forget", "attempt": "a"}]


async def test_a_keeper_is_not_blamed_while_its_reports_wait_for_us(autojump_clock: MockClock, desk: Desk) -> None:
    """The journal may wait for its disk for hours; the keeper's replies wait behind its reports then."""
    reports, reported = trio.open_memory_channel[Report](0)
    report = _last_report("a")
    spawn = _spawn(Path("/nowhere"), "a")

    def answers(request: dict[str, Any]) -> list[Message]:
        if request["op"] != "spawn":
            return _done(request)
        return [Reply(request["id"], msgspec.Raw(msgspec.json.encode(Spawned(1, 1, 0.0)))), report]

    answer, answered = trio.open_memory_channel[Answer](1)
    desk.asks.send_nowait(AskSpawn(spawn, answer, reports, start("a")))
    with trio.move_on_after(3600):
        await desk.serve(ScriptedLink(answers))
    assert trio.current_time() >= 3600
    assert answered.receive_nowait().error is None
    assert reported.statistics().tasks_waiting_send == 0


async def test_requests_that_one_keeper_after_the_other_leaves_unanswered_are_asked_again(
    autojump_clock: MockClock, desk: Desk, tmp_path: Path
) -> None:
    answered = [desk.ask(_spawn(tmp_path, name)) for name in "abcde"]
    first, second, third = ScriptedLink(lasts=3), ScriptedLink(lasts=2), ScriptedLink(_refuse)

    assert await desk.serve(first) == "it ended unexpectedly"
    assert await desk.serve(second, resumed=True) == "it ended unexpectedly"
    with trio.move_on_after(1):
        await desk.serve(third, resumed=True)

    assert [request["attempt"] for request in first.asked] == ["a", "b", "c"]
    assert [request["attempt"] for request in second.asked] == ["a", "b"]
    assert sorted(request["attempt"] for request in third.asked if request["op"] == "spawn") == list("abcde")
    assert [str(each.receive_nowait().error) for each in answered] == ["not now"] * 5


def _refuse(request: dict[str, Any]) -> list[Message]:
    return [Reply(request["id"], error=Refusal("ENOSPC", "not now"))] if request["op"] == "spawn" else _done(request)


async def test_what_a_lost_keeper_may_have_typed_is_not_typed_again(
    autojump_clock: MockClock, desk: Desk, tmp_path: Path
) -> None:
    send, answered = trio.open_memory_channel[Answer](1)
    desk.asks.send_nowait(Ask(Write(attempt=AttemptId("a"), data="x"), send))
    second = ScriptedLink(_done)

    await desk.serve(ScriptedLink(lasts=1))
    with trio.move_on_after(1):
        await desk.serve(second, resumed=True)

    assert "write" not in second.ops()
    assert "nobody knows whether it arrived" in str(answered.receive_nowait().error)


async def test_what_a_lost_keeper_may_have_started_is_not_started_again(desk: Desk, tmp_path: Path) -> None:
    status = {"state": "starting", "attempt": "a", "pid": 0, "start_ticks": 0, "boot_id": ""}
    (tmp_path / "a.status").write_text(json.dumps(status).ljust(511) + "\n")
    answered = desk.ask(_spawn(tmp_path, "a"))
    second = ScriptedLink(_done)

    await desk.serve(ScriptedLink(lasts=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(desk.serve, second, resumed=True))
        answer = await answered.receive()
        nursery.cancel_scope.cancel()

    assert "spawn" not in second.ops()
    assert "died while it started this command" in str(answer.error)


async def test_the_next_keeper_hears_of_an_exit_before_it_hears_of_a_stop_that_came_later(
    autojump_clock: MockClock, desk: Desk, tmp_path: Path
) -> None:
    """Else it would say that the stop was the reason."""
    spawn = _spawn(tmp_path, "a")
    held = Held(spawn, desk.reports, pid=1, start_ticks=1, fds=(), not_after=None)
    held.exit = Reaped(attempt=spawn.attempt, code=0, signal=None, at=1.0)
    held.change(Stop(attempt=spawn.attempt, grace=5.0, reason="stop"))
    desk.table.held[spawn.attempt] = held
    link = ScriptedLink(_done)

    with trio.move_on_after(0.5):
        await desk.serve(link, resumed=True)

    assert link.ops() == ["adopt", "reaped", "stop"]


@pytest.mark.parametrize(("version", "asked"), [(1, [("stop", "timeout")]), (2, [("extend", None), ("stop", "quiet")])])
async def test_an_older_keeper_is_told_what_it_understands(
    autojump_clock: MockClock, desk: Desk, version: int, asked: list[tuple[str, str | None]]
) -> None:
    link = ScriptedLink(_done)
    link.welcome = Welcome(version, 1, "boot", 1, ())
    for request in (Extend(attempt=AttemptId("a"), left=5.0), Stop(attempt=AttemptId("a"), grace=1.0, reason="quiet")):
        desk.asks.send_nowait(Ask(request))

    with trio.move_on_after(0.5):
        await desk.serve(link)

    assert [(each["op"], each.get("reason")) for each in link.asked] == asked


async def test_the_end_of_the_fleet_is_asked_again_of_the_next_keeper(autojump_clock: MockClock, desk: Desk) -> None:
    def answers(request: dict[str, Any]) -> list[Message]:
        ended = msgspec.Raw(msgspec.json.encode(Finished(("7 sleep",))))
        return [Reply(request["id"], ended)] if request["op"] == "shutdown" else _done(request)

    answered = desk.ask(Shutdown())
    await desk.serve(ScriptedLink(lasts=0))
    with trio.move_on_after(1):
        await desk.serve(ScriptedLink(answers), resumed=True)

    assert msgspec.json.decode(answered.receive_nowait().ok, type=Finished).ended == ("7 sleep",)


@asynccontextmanager
async def _keeper(tmp_path: Path, reply_deadline: float) -> AsyncIterator[tuple[Desk, list[Event]]]:
    """The real program; all that it started is gone afterwards."""
    desk, told = Desk(), list[Event]()
    keeper = Keeper(
        folder=FleetFolder(tmp_path),
        fleet=FLEET,
        asks=desk.to_keeper,
        outbox=desk.events,
        reply_deadline=reply_deadline,
    )

    async def take() -> None:
        async for append in desk.told:
            told.append(append.event)

    with open_trees():
        become_subreaper()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await nursery.start(keeper.run)
            yield desk, told
            finished = desk.ask(Shutdown())
            await finished.receive()
            desk.asks.close()
            desk.events.close()


async def _ended(desk: Desk) -> Ended:
    async for report in desk.reported:
        if isinstance(report, Ended):
            return report
    raise AssertionError("nobody reports any more")


async def test_a_keeper_that_is_stopped_is_replaced_and_its_workers_do_not_notice(tmp_path: Path) -> None:
    """Takes the time that this keeper has to answer."""
    async with _keeper(tmp_path, reply_deadline=1.0) as (desk, told):
        await desk.ask(_spawn(tmp_path, "a", "while [ ! -e go ]; do sleep 0.01; done; echo said; exit 7")).receive()
        await trio.testing.wait_all_tasks_blocked()
        (started,) = [event for event in told if isinstance(event, KeeperStarted)]

        os.kill(started.pid, signal.SIGSTOP)
        (tmp_path / "go").touch()
        ended = await _ended(desk)
        desk.ask(Forget(attempt=AttemptId("a")))

    assert (ended.code, ended.signal, ended.reason, ended.stdout_bytes) == (7, None, "exit", 5)
    assert (tmp_path / "a.out").read_bytes() == b"said\n"
    lost = [event for event in told if isinstance(event, KeeperLost)]
    assert (lost[0].pid, lost[0].reason) == (started.pid, "no answer within 1 s")


async def test_a_stop_that_a_stuck_keeper_did_not_hear_reaches_the_next_one(tmp_path: Path) -> None:
    """Takes the time that this keeper has to answer."""
    async with _keeper(tmp_path, reply_deadline=1.0) as (desk, told):
        await desk.ask(_spawn(tmp_path, "a", "exec sleep 1000")).receive()
        await trio.testing.wait_all_tasks_blocked()
        (started,) = [event for event in told if isinstance(event, KeeperStarted)]

        os.kill(started.pid, signal.SIGSTOP)
        desk.asks.send_nowait(Ask(Stop(attempt=AttemptId("a"), grace=10.0, reason="stop")))
        ended = await _ended(desk)

    assert (ended.code, ended.signal, ended.reason) == (None, "SIGTERM", "stop")


async def test_a_keeper_that_cannot_start_is_an_error_that_tells_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "keeper.lock").mkdir()

    with pytest.RaisesGroup(KeeperError, flatten_subgroups=True) as caught:
        async with _keeper(tmp_path, reply_deadline=10.0):
            pass

    assert str(tmp_path / "keeper.log") in str(caught.value.exceptions)


@pytest.mark.parametrize("request_", [Write(attempt=AttemptId("a"), data="y\n"), Interrupt(attempt=AttemptId("a"))])
async def test_what_a_lost_keeper_may_have_done_to_a_worker_is_not_done_again(
    autojump_clock: MockClock, desk: Desk, request_: Write | Interrupt
) -> None:
    answer = desk.ask(request_)
    second = ScriptedLink(_done)

    await desk.serve(ScriptedLink(lasts=0))
    with trio.move_on_after(0.5):
        await desk.serve(second, resumed=True)

    assert second.ops() == []
    assert str(answer.receive_nowait().error) == "the keeper died; nobody knows whether it arrived"
