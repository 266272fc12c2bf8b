"""The life of one attempt, with everything around it played by the test."""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.messages import Append
from actors.orders import Answer, StartWorker, StopWorker
from actors.worker import Worker
from protocols import keeper as wire
from protocols.errors import SpawnError
from protocols.events import AttemptStarting, SpoolBlocked, SpoolResumed, WorkerExited, WorkerOutput, WorkerStarted
from protocols.fleet_events import JournalResumed
from protocols.ids import WorkerId
from protocols.keeper import Forget, Stop
from protocols.keeper_codec import from_os, to_os
from protocols.plan import Stdin, Window
from tests.surroundings import FLEET, Stage, start, surrounded

A = WorkerId("a")


@dataclass
class Life:
    stage: Stage
    commands: trio.MemorySendChannel[StopWorker]
    result: list[WorkerExited] = field(default_factory=list)

    async def stop(self, grace: float = 3.0) -> None:
        await self.commands.send(StopWorker(A, grace, "stop"))

    def kinds(self) -> list[type]:
        return [type(event) for event in self.stage.events]


@asynccontextmanager
async def living(
    folder: Path, order: StartWorker | None = None, environ: Mapping[str, str] | None = None, *, stopped: bool = False
) -> AsyncIterator[Life]:
    """A worker that runs; the body has to bring it to its end. ``stopped``: before it could begin."""
    commands, inbox = trio.open_memory_channel[StopWorker](1)
    async with surrounded(folder, environ) as stage, trio.open_nursery() as nursery:
        life = Life(stage, commands)
        if stopped:
            await life.stop()

        async def live() -> None:
            life.result.append(await Worker(order=order or start(), around=stage.around, commands=inbox).run())

        nursery.start_soon(live)
        yield life


async def test_started_then_output_then_one_exit_and_then_the_keeper_may_forget(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        spawn = await life.stage.spawned()
        await wait_all_tasks_blocked()
        assert life.stage.followed == {"a/1/stdout", "a/1/stderr"}
        _append(spawn.request.stdout, b"hello")
        await life.stage.end(spawn, 3, output=5)
        assert await life.stage.next_request() == Forget(attempt=spawn.request.attempt)

    assert life.kinds() == [AttemptStarting, WorkerStarted, WorkerOutput, WorkerExited]
    assert life.result == life.stage.events[-1:]
    (exited,) = life.result
    assert (exited.code, exited.reason, exited.started_at, exited.ended_at, exited.at) == (3, "exit", 5.0, 7.0, 8.0)
    assert life.stage.followed == set()


def _append(path: str, data: bytes) -> None:
    with Path(from_os(path).decode()).open("ab") as file:
        file.write(data)


async def test_nothing_is_spawned_before_its_start_is_on_the_disk(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        life.stage.fill_disk()
        await wait_all_tasks_blocked(0.01)
        assert life.stage.asks.statistics().current_buffer_used == 0

        life.stage.disk.set()
        spawn = await life.stage.spawned()
        assert life.kinds() == [AttemptStarting]
        await life.stage.end(spawn)


async def test_the_end_is_told_when_it_is_on_the_disk(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        spawn = await life.stage.spawned()
        await wait_all_tasks_blocked()
        life.stage.fill_disk()
        await life.stage.end(spawn)
        await wait_all_tasks_blocked(0.01)
        assert not life.result and life.stage.asks.statistics().current_buffer_used == 0

        life.stage.disk.set()
        await life.stage.next_request()

    assert len(life.result) == 1


async def test_a_stop_before_the_start_means_no_start(tmp_path: Path) -> None:
    async with living(tmp_path, stopped=True) as life:
        assert await life.stage.next_request() == Forget(attempt=start().id)

    assert life.kinds() == [AttemptStarting, WorkerExited]
    (exited,) = life.result
    assert (exited.reason, exited.started_at, exited.error) == ("stop", None, "stopped before its start")


async def test_a_stop_during_the_start_is_passed_on_after_it(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        await wait_all_tasks_blocked()
        await life.stop()
        spawn = await life.stage.spawned()
        stop = await life.stage.next_request()
        await life.stage.end(spawn, None, "stop", "SIGTERM")

    assert stop == Stop(attempt=spawn.request.attempt, grace=3.0, reason="stop")
    assert [(end.reason, end.signal) for end in life.result] == [("stop", "SIGTERM")]


async def test_a_stop_is_passed_on_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        spawn = await life.stage.next_spawn()
        life.stage.fill_disk()
        for _ in range(2):  # one is held by the journal, one waits for it
            await life.stage.around.outbox.send(Append(JournalResumed(at=0.0, seconds=1.0, error="")))
        await life.stage.answer(spawn)
        await life.stop()
        stop = await life.stage.next_request()
        life.stage.disk.set()
        await life.stage.end(spawn, None, "stop", "SIGTERM")

    assert isinstance(stop, Stop)
    assert life.kinds()[-2:] == [WorkerStarted, WorkerExited]


async def test_what_the_keeper_refuses_was_not_started(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        spawn = await life.stage.next_spawn()
        await spawn.answer.send(Answer(error=SpawnError("no such program", "ENOENT")))

    assert life.kinds() == [AttemptStarting, WorkerExited]
    assert [(end.reason, end.error, end.started_at) for end in life.result] == [
        ("not-started", "no such program", None)
    ]


async def test_what_the_keeper_refuses_after_a_stop_was_stopped(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        spawn = await life.stage.next_spawn()
        await life.stop()
        await spawn.answer.send(Answer(error=SpawnError("the server is gone", "EIO")))

    assert [(end.reason, end.error) for end in life.result] == [("stop", "the server is gone")]


async def test_without_a_folder_for_its_output_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    async with living(tmp_path) as life:
        await life.stage.next_request()

    (exited,) = life.result
    assert exited.reason == "not-started" and exited.error.endswith("spool: File exists")


async def test_a_start_for_which_the_disk_has_no_room_is_asked_for_again(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        life.stage.around = replace(life.stage.around, retry=0.001)
        for _ in range(30):
            spawn = await life.stage.next_spawn()
            await spawn.answer.send(Answer(error=SpawnError("no room", "ENOSPC")))
        await life.stage.end(await life.stage.spawned())
        await life.stage.next_request()

    assert life.kinds() == [AttemptStarting, SpoolBlocked, SpoolResumed, WorkerStarted, WorkerExited]
    assert [end.reason for end in life.result] == ["exit"]


async def test_a_start_that_waits_for_the_disk_can_be_stopped(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        life.stage.around = replace(life.stage.around, retry=math.inf)
        spawn = await life.stage.next_spawn()
        await spawn.answer.send(Answer(error=SpawnError("no room", "EDQUOT")))
        await life.stop()
        await life.stage.next_request()

    assert [(end.reason, end.error) for end in life.result] == [("stop", "stopped before its start")]


async def test_an_end_of_which_nobody_knows_is_lost_whatever_the_keeper_calls_it(tmp_path: Path) -> None:
    async with living(tmp_path) as life:
        await life.stage.end(await life.stage.spawned(), None)

    (exited,) = life.result
    assert exited.reason == "lost" and "nobody has its exit status" in exited.error


async def test_a_worker_that_is_left_in_haste_records_no_end(tmp_path: Path) -> None:
    """How it ended is then concluded from its status file."""
    async with surrounded(tmp_path) as stage, trio.open_nursery() as nursery:
        _, inbox = trio.open_memory_channel[StopWorker](1)
        nursery.start_soon(Worker(order=start(), around=stage.around, commands=inbox).run)
        await stage.spawned()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert [type(event) for event in stage.events] == [AttemptStarting, WorkerStarted]
    assert stage.followed == set()


async def test_the_keeper_gets_the_bytes_of_arguments_and_paths(tmp_path: Path) -> None:
    order = start(timeout=9.0, grace=2.0)
    async with living(tmp_path, order) as life:
        spawn = await life.stage.spawned()
        await life.stage.end(spawn)

    request = spawn.request
    assert (request.executable, request.argv, request.cwd) == ("/bin/a", ("program", "x"), "/tmp")
    assert (request.timeout, request.grace, request.linger, request.attached) == (9.0, 2.0, 2.0, True)
    assert from_os(request.stderr).decode() == str(tmp_path / "spool" / "a" / "1" / "stderr")
    assert from_os(request.status).decode() == str(tmp_path / "status" / order.id)


async def test_a_worker_on_a_terminal_has_one_stream_and_a_window(tmp_path: Path) -> None:
    order = start(source="pty", window=Window(80, 24))
    async with living(tmp_path, order, {"TERM": "dumb"}) as life:
        spawn = await life.stage.spawned()
        await wait_all_tasks_blocked()
        assert life.stage.followed == {"a/1/terminal"}
        _append(spawn.request.terminal, b"hello")
        await life.stage.end(spawn, terminal=5)

    request = spawn.request
    assert (request.stdout, request.stderr, request.window) == ("", "", (80, 24))
    assert from_os(request.terminal).decode() == str(tmp_path / "spool" / "a" / "1" / "terminal")
    assert "TERM=xterm-256color" in request.env
    starting, _, output, exited = life.stage.events
    assert isinstance(starting, AttemptStarting) and starting.source == "pty"
    assert isinstance(output, WorkerOutput) and (output.stream, output.length) == ("terminal", 5)
    assert isinstance(exited, WorkerExited) and (exited.stdout_bytes, exited.terminal_bytes) == (0, 5)


async def test_a_terminal_for_which_the_disk_has_no_room_is_the_stream_that_waits(tmp_path: Path) -> None:
    async with living(tmp_path, start(source="pty")) as life:
        life.stage.around = replace(life.stage.around, retry=0.001)
        spawn = await life.stage.next_spawn()
        await spawn.answer.send(Answer(error=SpawnError("no room", "ENOSPC")))
        await life.stage.end(await life.stage.spawned())
        await life.stage.next_request()

    waits = [event for event in life.stage.events if isinstance(event, SpoolBlocked | SpoolResumed)]
    assert [event.stream for event in waits] == ["terminal", "terminal"]


@pytest.mark.parametrize("outer", ["", "0/1", "0/1:2/3"])
async def test_a_worker_carries_its_mark_behind_those_of_the_callboards_around(tmp_path: Path, outer: str) -> None:
    environ = {"PATH": "/bin", "SECRET": "x", "CALLBOARD_SOCKET": "/outer"} | (
        {"CALLBOARD_MARK": outer} if outer else {}
    )
    order = start(env={"WORD": "ü"})
    async with living(tmp_path, order, environ) as life:
        spawn = await life.stage.spawned()
        await life.stage.end(spawn)

    mark = f"{FLEET}/{order.id}"
    assert sorted(spawn.request.env) == [
        f"CALLBOARD_MARK={outer}:{mark}" if outer else f"CALLBOARD_MARK={mark}",
        f"CALLBOARD_SOCKET={tmp_path / 'control.sock'}",
        "PATH=/bin",
        to_os("WORD=ü".encode()),
    ]


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (Stdin("none"), wire.Stdin("none")),
        (Stdin("pipe"), wire.Stdin("pipe")),
        (Stdin("text", "ü\n"), wire.Stdin("text", to_os("ü\n".encode()))),
        (Stdin("file", "/tmp/ü"), wire.Stdin("file", to_os("/tmp/ü".encode()))),
    ],
)
async def test_stdin_is_what_the_task_says(tmp_path: Path, stdin: Stdin, said: wire.Stdin) -> None:
    async with living(tmp_path, start(stdin=stdin)) as life:
        spawn = await life.stage.spawned()
        await life.stage.end(spawn)

    assert spawn.request.stdin == said
