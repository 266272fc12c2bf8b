"""The streamer against real spool files, with the keeper and the follower played by the test."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.messages import Append, Follow, FollowRequest, Grown, Unfollow
from actors.streamer import Notice, Streamer
from protocols.events import (
    Event,
    SpoolBlocked,
    SpoolResumed,
    WorkerGap,
    WorkerHeartbeat,
    WorkerMismatch,
    WorkerOutput,
    WorkerProgress,
    WorkerStopping,
)
from protocols.ids import AttemptId, WorkerId
from protocols.keeper import Blocked, Ended, Missed, Resumed, Stopping
from protocols.kinds import Stream

W, A = WorkerId("w"), AttemptId("0" * 32)


@dataclass
class Stage:
    folder: Path
    notices: trio.MemorySendChannel[Notice]
    events: list[Event] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    result: list[Ended] = field(default_factory=list)

    def write(self, data: bytes, stream: Stream = "stdout") -> None:
        with (self.folder / stream).open("ab") as file:
            file.write(data)

    async def grow(self, data: bytes, stream: Stream = "stdout") -> None:
        self.write(data, stream)
        await self.notices.send(Grown("any"))
        await wait_all_tasks_blocked()

    async def end(self, stdout: int, stderr: int = 0) -> None:
        await self.notices.send(
            Ended(
                attempt=A,
                code=0,
                signal=None,
                exited_at=1.0,
                at=2.0,
                reason="exit",
                stdout_bytes=stdout,
                stderr_bytes=stderr,
                swept=(),
            )
        )

    def ranges(self, stream: Stream = "stdout") -> list[tuple[int, int]]:
        outputs = [event for event in self.events if isinstance(event, WorkerOutput) and event.stream == stream]
        return [(event.offset, event.length) for event in outputs]

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def streaming(folder: Path, progress_file: Path | None = None, *, direct: bool = False) -> AsyncIterator[Stage]:
    """A streamer that runs; the body ends it."""
    notices, inbox = trio.open_memory_channel[Notice](64)
    follows, to_follower = trio.open_memory_channel[FollowRequest](4)
    appends, to_journal = trio.open_memory_channel[Append](1)
    stage = Stage(folder, notices)
    streams: tuple[Stream, ...] = ("stdout", "stderr")
    for stream in streams:
        stage.write(b"", stream)
    streamer = Streamer(
        worker=W,
        attempt=1,
        spools={stream: folder / stream for stream in streams},
        inbox=inbox,
        notices=notices,
        follower=follows,
        outbox=appends,
        progress_file=progress_file,
        direct=direct,
        now=trio.current_time,
    )

    async def note() -> None:
        async for append in to_journal:
            stage.events.append(append.event)

    async def follow() -> None:
        async for request in to_follower:
            match request:
                case Follow():
                    stage.followed.append(request.key)
                case Unfollow():
                    stage.followed.remove(request.key)
                    request.done.set()

    async def stream_to_the_end() -> None:
        stage.result.append(await streamer.run())

    async with trio.open_nursery() as around:
        around.start_soon(note)
        around.start_soon(follow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream_to_the_end)
            await wait_all_tasks_blocked()
            yield stage
        await wait_all_tasks_blocked()
        around.cancel_scope.cancel()


async def test_each_growth_is_one_range_and_the_ranges_cover_all(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with streaming(tmp_path) as stage:
        assert len(stage.followed) == 2
        await stage.grow(b"x" * 10)
        await stage.grow(b"y" * 5)
        await stage.grow(b"e" * 3, "stderr")
        await stage.end(15, 3)

    assert stage.ranges() == [(0, 10), (10, 5)]
    assert stage.ranges("stderr") == [(0, 3)]
    assert stage.followed == []
    assert not stage.of(WorkerMismatch)


async def test_the_last_bytes_are_recorded_before_the_end_without_any_notice(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with streaming(tmp_path) as stage:
        stage.write(b"last words")
        await stage.end(10)

    assert stage.ranges() == [(0, 10)]
    assert stage.result[0].stdout_bytes == 10


async def test_bytes_that_do_not_add_up_are_an_event(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with streaming(tmp_path) as stage:
        await stage.grow(b"12345")
        await stage.end(7)

    (mismatch,) = stage.of(WorkerMismatch)
    assert isinstance(mismatch, WorkerMismatch)
    assert (mismatch.written, mismatch.spooled, mismatch.recorded) == (7, 5, 5)


@pytest.mark.parametrize("text", [b"", b"new", b"new and longer"])
async def test_a_file_that_its_worker_cut_is_a_gap_and_counts_from_its_beginning(
    tmp_path: Path, autojump_clock: MockClock, text: bytes
) -> None:
    async with streaming(tmp_path, direct=True) as stage:
        await stage.grow(b"0123456789")
        (tmp_path / "stdout").write_bytes(text)
        await stage.end(len(text))

    (gap,) = stage.of(WorkerGap)
    assert isinstance(gap, WorkerGap)
    assert (gap.stream, gap.offset, gap.lost, gap.cut) == ("stdout", 0, 10, True)
    assert stage.ranges() == [(0, 10), *([(0, len(text))] if text else [])]
    assert not stage.of(WorkerMismatch)


async def test_a_spool_that_is_cut_although_nobody_but_us_writes_it_is_no_gap_but_a_mismatch(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with streaming(tmp_path) as stage:
        await stage.grow(b"0123456789")
        (tmp_path / "stdout").write_bytes(b"")
        await stage.end(10)

    assert not stage.of(WorkerGap)
    assert stage.of(WorkerMismatch)


async def test_what_a_source_missed_is_a_gap_between_ranges(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with streaming(tmp_path) as stage:
        await stage.grow(b"0123")
        await stage.notices.send(Missed(attempt=A, stream="stdout", offset=4, lost=None, why="it was cut"))
        await stage.grow(b"456")
        await stage.end(7)

    assert stage.ranges() == [(0, 4), (4, 3)]
    (gap,) = stage.of(WorkerGap)
    assert isinstance(gap, WorkerGap)
    assert (gap.offset, gap.lost, gap.why, gap.cut) == (4, None, "it was cut", False)
    assert not stage.of(WorkerMismatch)


async def test_progress_is_told_when_it_changes_and_at_most_five_times_a_second(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with streaming(tmp_path) as stage:
        for percent in range(10, 60, 10):
            await stage.grow(f"{percent}%\n".encode())
        await trio.sleep(1)
        await stage.grow(b"nothing to see\n")
        await trio.sleep(1)
        await stage.end(stage.ranges()[-1][0] + stage.ranges()[-1][1])

    fractions = [event.fraction for event in stage.of(WorkerProgress) if isinstance(event, WorkerProgress)]
    assert fractions == [0.1, 0.5]


async def test_checkboxes_of_a_progress_file_are_progress(tmp_path: Path, autojump_clock: MockClock) -> None:
    plan = tmp_path / "PLAN.md"
    async with streaming(tmp_path, plan) as stage:
        await trio.sleep(6)
        plan.write_text("- [x] one\n- [ ] two\n")
        await trio.sleep(6)
        await stage.end(0)

    (progress,) = stage.of(WorkerProgress)
    assert isinstance(progress, WorkerProgress)
    assert progress.fraction == 0.5


async def test_a_progress_file_that_is_none_holds_nobody_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    fifo, folder = tmp_path / "fifo", tmp_path / "folder"
    os.mkfifo(fifo)
    folder.mkdir()
    for progress_file in (fifo, folder, Path("/dev/zero")):
        async with streaming(tmp_path, progress_file) as stage:
            await trio.sleep(12)
            await stage.end(0)

        assert stage.result and not stage.of(WorkerProgress)


async def test_heartbeats_are_records_only_when_something_changes_or_a_minute_has_passed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with streaming(tmp_path) as stage:
        await trio.sleep(4)
        await stage.grow(b"a")
        await trio.sleep(150)
        await stage.grow(b"b")
        spoke_at = trio.current_time()
        await trio.sleep(4)
        await stage.end(2)

    beats = [(beat.at, beat.activity) for beat in stage.of(WorkerHeartbeat) if isinstance(beat, WorkerHeartbeat)]
    assert [activity for _, activity in beats] == ["active", "quiet", "quiet", "quiet", "active"]
    assert beats[2][0] - beats[1][0] == pytest.approx(60.0)
    assert beats[4][0] == pytest.approx(spoke_at)


async def test_a_worker_that_says_nothing_is_quiet_since_its_start(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with streaming(tmp_path) as stage:
        await trio.sleep(6)
        await stage.end(0)

    (beat,) = stage.of(WorkerHeartbeat)
    assert isinstance(beat, WorkerHeartbeat)
    assert beat.activity == "quiet" and beat.quiet_for == pytest.approx(5.0)


async def test_what_the_keeper_says_is_passed_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with streaming(tmp_path) as stage:
        await stage.notices.send(Blocked(attempt=A, stream="stdout", error="No space left on device"))
        await stage.notices.send(Resumed(attempt=A, stream="stdout"))
        await stage.notices.send(Stopping(attempt=A, reason="timeout", grace=3.0))
        await stage.end(0)

    kinds = [type(event) for event in stage.events]
    assert kinds == [SpoolBlocked, SpoolResumed, WorkerStopping]
