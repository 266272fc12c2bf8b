import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.inotify import IN_IGNORED, IN_MODIFY, IN_ONESHOT, IN_Q_OVERFLOW, Change, Inotify
from protocols.errors import WatchError
from tests.require import needs

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    inotify = Inotify()
    yield inotify
    inotify.close()


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "spool", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_a_write_to_a_watched_file_is_told(inotify: Inotify, fd: int) -> None:
    watch = inotify.watch(fd, IN_MODIFY)
    assert inotify.read() == []

    os.write(fd, b"text")

    assert inotify.read() == [Change(watch, IN_MODIFY)]


def test_a_one_shot_watch_tells_once_until_it_is_set_again(inotify: Inotify, fd: int) -> None:
    first = inotify.watch(fd, IN_MODIFY | IN_ONESHOT)
    for _ in range(3):
        os.write(fd, b"text")
    assert inotify.read() == [Change(first, IN_MODIFY), Change(first, IN_IGNORED)]

    second = inotify.watch(fd, IN_MODIFY | IN_ONESHOT)
    os.write(fd, b"text")

    assert second != first
    assert inotify.read() == [Change(second, IN_MODIFY), Change(second, IN_IGNORED)]


def test_bytes_that_are_spliced_from_a_pipe_are_told_too(inotify: Inotify, fd: int) -> None:
    watch = inotify.watch(fd, IN_MODIFY | IN_ONESHOT)
    reader, writer = os.pipe()
    os.write(writer, b"text")

    os.splice(reader, fd, 4)

    assert inotify.read() == [Change(watch, IN_MODIFY), Change(watch, IN_IGNORED)]
    os.close(reader)
    os.close(writer)


def test_a_truncated_file_is_told(inotify: Inotify, fd: int) -> None:
    os.write(fd, b"text")
    watch = inotify.watch(fd, IN_MODIFY)

    os.truncate(fd, 0)

    assert inotify.read() == [Change(watch, IN_MODIFY)]


def test_a_file_without_a_name_is_watched(inotify: Inotify, fd: int, tmp_path: Path) -> None:
    (tmp_path / "spool").unlink()
    watch = inotify.watch(fd, IN_MODIFY)

    os.write(fd, b"text")

    assert inotify.read() == [Change(watch, IN_MODIFY)]


def test_two_descriptors_of_one_file_share_a_watch(inotify: Inotify, fd: int, tmp_path: Path) -> None:
    other = os.open(tmp_path / "spool", os.O_RDONLY)

    assert inotify.watch(other, IN_MODIFY) == inotify.watch(fd, IN_MODIFY)

    os.close(other)


def test_a_file_that_is_no_longer_watched_tells_only_that(inotify: Inotify, fd: int) -> None:
    watch = inotify.watch(fd, IN_MODIFY)

    inotify.unwatch(watch)
    inotify.unwatch(watch)
    os.write(fd, b"text")

    assert inotify.read() == [Change(watch, IN_IGNORED)]


def test_more_changes_than_a_buffer_holds_are_read_at_once(inotify: Inotify, fd: int, tmp_path: Path) -> None:
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    watches = [inotify.watch(fd, IN_MODIFY), inotify.watch(other, IN_MODIFY)]

    for _ in range(5000):  # in turn: the kernel merges equal neighbours
        os.write(fd, b"x")
        os.write(other, b"x")

    assert inotify.read() == [Change(watch, IN_MODIFY) for watch in watches] * 5000
    assert inotify.read() == []
    os.close(other)


def test_lost_changes_are_told(inotify: Inotify, fd: int, tmp_path: Path) -> None:
    other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
    inotify.watch(fd, IN_MODIFY)
    inotify.watch(other, IN_MODIFY)

    for _ in range(int(QUEUE.read_text()) // 2 + 1):
        os.write(fd, b"x")
        os.write(other, b"x")

    assert inotify.read()[-1] == Change(-1, IN_Q_OVERFLOW)
    os.close(other)


async def test_a_task_waits_for_the_next_change(inotify: Inotify, fd: int, nursery: trio.Nursery) -> None:
    watch = inotify.watch(fd, IN_MODIFY)
    awake = trio.Event()

    async def wait() -> None:
        await trio.lowlevel.wait_readable(inotify.fileno())
        awake.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert not awake.is_set()

    os.write(fd, b"text")
    await awake.wait()

    assert inotify.read() == [Change(watch, IN_MODIFY)]


def test_a_closed_descriptor_is_a_clear_error(inotify: Inotify, fd: int) -> None:
    copy = os.dup(fd)
    os.close(copy)

    with pytest.raises(WatchError, match=r"^inotify: a file cannot be watched: No such file or directory$"):
        inotify.watch(copy, IN_MODIFY)


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


def test_the_limit_of_instances_is_named() -> None:
    with no_descriptor_left(), pytest.raises(WatchError) as caught:
        Inotify()

    assert str(caught.value) == (
        "inotify: changes of files cannot be watched: Too many open files; "
        "raise fs.inotify.max_user_instances (sysctl), or the limit of open files (ulimit -n)"
    )


def test_the_limit_of_watches_is_named() -> None:
    needs("unshare", "install util-linux")
    program = "from actors.inotify import *; Inotify().watch(0, 2)"
    command = f'echo 0 > /proc/sys/user/max_inotify_watches && exec "$0" -c "{program}"'

    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", command, sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )

    needs("unshare", "allow user namespaces", present="unshare: " not in done.stderr)
    assert done.stderr.splitlines()[-1] == (
        "protocols.errors.WatchError: inotify: a file cannot be watched: No space left on device; "
        "raise fs.inotify.max_user_watches (sysctl)"
    )
