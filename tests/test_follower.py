import logging
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.follower import Follower
from actors.inotify import IN_Q_OVERFLOW, Change, Inotify
from actors.messages import Follow, FollowRequest, Grown, Unfollow
from protocols.errors import WatchError

TICK = 1 / 16  # its multiples are exact

# The mock clock stands still unless a test moves it. Files and inotify are real: a write is readable there when it
# returns, so the follower has done all it can once every task is blocked.


@dataclass
class Spool:
    """A file that grows, and what a streamer hears about it."""

    key: str
    path: Path
    fd: int
    grown: trio.MemorySendChannel[Grown]
    notices: trio.MemoryReceiveChannel[Grown]

    def write(self, data: bytes = b"text") -> None:
        with self.path.open("ab") as file:
            file.write(data)

    async def heard(self) -> int:
        """How many notices came since the last time."""
        await wait_all_tasks_blocked()
        count = 0
        while True:
            try:
                assert self.notices.receive_nowait() == Grown(self.key)
            except trio.WouldBlock:
                return count
            count += 1

    def follow(self, interval: float | None = None) -> Follow:
        return Follow(self.key, self.fd, self.grown, interval)


@dataclass
class Fleet:
    folder: Path
    stack: ExitStack
    requests: trio.MemorySendChannel[FollowRequest]

    def spool(self, key: str = "api/1/stdout", capacity: int = 1) -> Spool:
        path = self.folder / key.replace("/", "-")
        path.touch()
        fd = os.open(path, os.O_RDONLY)
        self.stack.callback(os.close, fd)
        return Spool(key, path, fd, *trio.open_memory_channel[Grown](capacity))

    async def followed(self, key: str = "api/1/stdout", interval: float | None = None, capacity: int = 1) -> Spool:
        spool = self.spool(key, capacity)
        await self.requests.send(spool.follow(interval))
        await wait_all_tasks_blocked()
        return spool


@pytest.fixture
async def fleet(tmp_path: Path, nursery: trio.Nursery, mock_clock: MockClock) -> AsyncIterator[Fleet]:
    async with open_fleet(tmp_path, nursery) as fleet:
        yield fleet


@asynccontextmanager
async def open_fleet(folder: Path, nursery: trio.Nursery) -> AsyncIterator[Fleet]:
    sender, receiver = trio.open_memory_channel[FollowRequest](0)
    await nursery.start(Follower(requests=receiver, flush_interval=TICK).run)
    with ExitStack() as stack:
        async with sender:
            yield Fleet(folder, stack, sender)


async def test_growth_after_quiet_is_told_at_once(fleet: Fleet, mock_clock: MockClock) -> None:
    spool = await fleet.followed()
    assert await spool.heard() == 0

    for _ in range(3):
        spool.write()
        assert await spool.heard() == 1
        mock_clock.jump(TICK)  # no growth here: from now on it is quiet
        assert await spool.heard() == 0
    assert mock_clock.current_time() == pytest.approx(3 * TICK)


async def test_while_output_pours_there_is_one_notice_for_each_tick(fleet: Fleet, mock_clock: MockClock) -> None:
    spool = await fleet.followed(capacity=100)
    spool.write()
    assert await spool.heard() == 1

    for _ in range(5):
        for _ in range(10):
            spool.write()
            assert await spool.heard() == 0
        mock_clock.jump(TICK)
        assert await spool.heard() == 1

    mock_clock.jump(TICK)
    assert await spool.heard() == 0


async def test_a_notice_that_nobody_took_yet_is_not_repeated(fleet: Fleet, mock_clock: MockClock) -> None:
    spool = await fleet.followed()

    for _ in range(3):
        spool.write()
        await wait_all_tasks_blocked()
        mock_clock.jump(TICK)
        await wait_all_tasks_blocked()

    assert await spool.heard() == 1


async def test_a_file_with_bytes_in_it_is_told_when_it_is_followed(fleet: Fleet, mock_clock: MockClock) -> None:
    spool = fleet.spool()
    spool.write()

    await fleet.requests.send(spool.follow())

    assert await spool.heard() == 1
    mock_clock.jump(TICK)
    assert await spool.heard() == 0


async def test_all_streams_share_the_ticks(fleet: Fleet, mock_clock: MockClock) -> None:
    spools = [await fleet.followed(f"w{number}/1/stdout") for number in range(10)]
    for spool in spools:  # they begin at ten different times between two ticks
        spool.write()
        assert await spool.heard() == 1
        spool.write()
        mock_clock.jump(TICK / 16)
    assert [await spool.heard() for spool in spools] == [0] * 10

    mock_clock.jump(TICK / 16 * 6)

    assert [await spool.heard() for spool in spools] == [1] * 10


async def test_a_slow_stream_is_told_at_once_and_then_once_in_its_interval(fleet: Fleet, mock_clock: MockClock) -> None:
    spool = await fleet.followed(interval=1.0, capacity=100)
    spool.write()
    assert await spool.heard() == 1

    for _ in range(48):
        spool.write()
        await wait_all_tasks_blocked()
        mock_clock.jump(TICK)

    assert await spool.heard() == 3


async def test_slow_streams_share_out_the_ticks(fleet: Fleet, mock_clock: MockClock) -> None:
    spools = [await fleet.followed(f"w{number}/1/stdout", interval=1.0) for number in range(16)]
    for spool in spools:
        spool.write()
        assert await spool.heard() == 1
        spool.write()

    heard = []
    for _ in range(16):
        mock_clock.jump(TICK)
        heard.append(sum([await spool.heard() for spool in spools]))

    assert heard == [1] * 16


async def test_a_stream_that_is_followed_again_gets_the_new_interval(fleet: Fleet, mock_clock: MockClock) -> None:
    spool = await fleet.followed(interval=10.0)
    spool.write()
    assert await spool.heard() == 1

    await fleet.requests.send(spool.follow())
    assert await spool.heard() == 1  # a look in any case
    spool.write()
    mock_clock.jump(TICK)

    assert await spool.heard() == 1


async def test_a_stream_that_is_no_longer_followed_is_not_told(fleet: Fleet, mock_clock: MockClock) -> None:
    quiet, pouring = await fleet.followed("quiet"), await fleet.followed("pouring")
    pouring.write()
    assert await pouring.heard() == 1

    for key in ("quiet", "pouring", "unknown"):
        done = trio.Event()
        await fleet.requests.send(Unfollow(key, done))
        await done.wait()
    quiet.write()
    pouring.write()
    mock_clock.jump(5.0)

    assert (await quiet.heard(), await pouring.heard()) == (0, 0)


async def test_two_streams_may_follow_one_file(fleet: Fleet, mock_clock: MockClock) -> None:
    first = await fleet.followed("first")
    second = Spool("second", first.path, first.fd, *trio.open_memory_channel[Grown](1))
    await fleet.requests.send(second.follow())
    await wait_all_tasks_blocked()

    first.write()
    assert (await first.heard(), await second.heard()) == (1, 1)

    mock_clock.jump(TICK)
    await wait_all_tasks_blocked()
    done = trio.Event()
    await fleet.requests.send(Unfollow("first", done))
    await done.wait()
    first.write()
    assert (await first.heard(), await second.heard()) == (0, 1)


async def test_a_file_that_becomes_shorter_is_told(fleet: Fleet, mock_clock: MockClock) -> None:
    spool = await fleet.followed()
    spool.write()
    assert await spool.heard() == 1

    os.truncate(spool.path, 1)
    mock_clock.jump(TICK)

    assert await spool.heard() == 1


async def test_writes_that_do_not_change_the_size_are_no_news(fleet: Fleet, mock_clock: MockClock) -> None:
    spool = await fleet.followed()
    spool.write(b"12345")
    assert await spool.heard() == 1
    mock_clock.jump(TICK)
    await wait_all_tasks_blocked()

    with spool.path.open("r+b") as file:
        file.write(b"54321")
    assert await spool.heard() == 0

    spool.write()
    mock_clock.jump(TICK)
    assert await spool.heard() == 1


async def test_a_stream_whose_reader_or_descriptor_is_gone_is_forgotten(fleet: Fleet, mock_clock: MockClock) -> None:
    gone, closed, other = [await fleet.followed(key) for key in ("gone", "closed", "other")]
    await fleet.requests.send(Follow("closed", fd := os.dup(closed.fd), closed.grown))
    await wait_all_tasks_blocked()

    gone.notices.close()
    os.close(fd)
    for spool in (gone, closed, other):
        spool.write()

    assert await other.heard() == 1
    mock_clock.jump(1.0)
    other.write()
    assert (await closed.heard(), await other.heard()) == (0, 1)


async def test_what_is_followed_survives_a_restart(tmp_path: Path, mock_clock: MockClock) -> None:
    sender, receiver = trio.open_memory_channel[FollowRequest](0)
    follower = Follower(requests=receiver, flush_interval=TICK)
    with ExitStack() as stack:
        fleet = Fleet(tmp_path, stack, sender)
        async with trio.open_nursery() as nursery:
            await nursery.start(follower.run)
            quiet, pouring = await fleet.followed("quiet"), await fleet.followed("pouring")
            pouring.write()
            assert await pouring.heard() == 1
            nursery.cancel_scope.cancel()
        pouring.write()

        async with trio.open_nursery() as nursery:
            await nursery.start(follower.run)
            assert (await quiet.heard(), await pouring.heard()) == (0, 1)
            quiet.write()
            assert await quiet.heard() == 1
            await sender.aclose()


async def test_the_follower_ends_when_nobody_is_left_who_could_ask(mock_clock: MockClock) -> None:
    sender, receiver = trio.open_memory_channel[FollowRequest](0)
    async with trio.open_nursery() as nursery:
        await nursery.start(Follower(requests=receiver).run)
        await sender.aclose()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_inotify_files_are_looked_at_and_this_is_said(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    sender, receiver = trio.open_memory_channel[FollowRequest](0)
    with caplog.at_level(logging.WARNING), no_descriptor_left():
        await nursery.start(Follower(requests=receiver, flush_interval=TICK).run)
    assert "fs.inotify.max_user_instances" in caplog.text

    with ExitStack() as stack:
        spool = await Fleet(tmp_path, stack, sender).followed()
        spool.write()
        assert await spool.heard() == 0
        mock_clock.jump(1.0)
        assert await spool.heard() == 1
        spool.write()
        mock_clock.jump(TICK)
        assert await spool.heard() == 1  # it pours: looked at on each tick as any other
        await sender.aclose()


async def test_files_over_the_limit_of_watches_are_looked_at_and_this_is_said_once(
    fleet: Fleet, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as limit, caplog.at_level(logging.WARNING):
        limit.setattr(Inotify, "watch", over_the_limit)  # the real one is in test_inotify
        first, second = await fleet.followed("first"), await fleet.followed("second")
        second.write()
        assert (await first.heard(), await second.heard()) == (0, 0)
        mock_clock.jump(1.0)
        assert (await first.heard(), await second.heard()) == (0, 1)
    assert [record.getMessage() for record in caplog.records] == ["no watches left; until then output is seen late"]

    mock_clock.jump(1.0)  # there are watches again
    await wait_all_tasks_blocked()
    first.write()

    assert await first.heard() == 1


def over_the_limit(_self: Inotify, _fd: int, _mask: int) -> int:
    raise WatchError("no watches left")


async def test_growth_of_which_the_kernel_tells_nothing_is_seen_by_looking(
    fleet: Fleet, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inotify, "watch", lambda _self, fd, _mask: fd)
    spool = await fleet.followed()
    spool.write()
    assert await spool.heard() == 0

    mock_clock.jump(1.0)

    assert await spool.heard() == 1


async def test_when_the_kernel_lost_notices_every_file_is_looked_at(
    fleet: Fleet, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools = [await fleet.followed(f"w{number}/1/stdout") for number in range(3)]
    read = Inotify.read
    monkeypatch.setattr(Inotify, "read", lambda self: [Change(-1, IN_Q_OVERFLOW)] if read(self) else [])

    for spool in spools:
        spool.write()
    assert [await spool.heard() for spool in spools] == [1, 1, 1]

    mock_clock.jump(TICK)
    await wait_all_tasks_blocked()
    spools[1].write()

    assert [await spool.heard() for spool in spools] == [0, 1, 0]


async def test_no_growth_is_missed_however_the_writes_fall(tmp_path: Path, nursery: trio.Nursery) -> None:
    total = 40_000

    async with open_fleet(tmp_path, nursery) as fleet, trio.open_nursery() as streamers:
        for number in range(16):
            spool = await fleet.followed(f"w{number}/1/stdout")
            streamers.start_soon(read_all, spool, total)
            streamers.start_soon(trio.to_thread.run_sync, write_all, spool.path, total, number)


async def read_all(spool: Spool, total: int) -> None:
    """A streamer: looks at the file only when it is told to, and hangs if it is told too little."""
    seen = 0
    async for _ in spool.notices:
        seen = os.fstat(spool.fd).st_size
        if seen == total:
            return


def write_all(path: Path, total: int, seed: int) -> None:
    written = 0
    with path.open("ab", buffering=0) as file:
        while written < total:
            size = min(1 + (written * 31 + seed * 17) % 997, total - written)
            file.write(b"x" * size)
            written += size
            os.sched_yield()
