import contextlib
import errno
import fcntl
import hashlib
import os
import queue
import resource
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actors.keeper_process import copier as copier_module
from actors.keeper_process.copier import Blocked, Copier, Eof, Resumed, open_spool
from actors.keeper_process.fields import Window
from actors.keeper_process.terminal import open_terminal
from tests.process_trees import wait_until
from tests.require import needs

ROOT = Path(__file__).parent.parent
KEY = ("a1", "stdout")
OTHER = ("a1", "stderr")
LIMIT = 1024 * 1024
MORE = b"x" * 10_000

# Copies from the descriptors argv[3:] to the file argv[2], until somebody kills it.
COPYING = """
import sys, threading
sys.path.append(sys.argv[1])
from actors.keeper_process.copier import Copier, open_spool
copier = Copier(print)
copier.start()
copier.add(("a1", "stdout"), tuple(map(int, sys.argv[3:])), open_spool(sys.argv[2]))
threading.Event().wait()
"""
# Prints bytes that never repeat, as fast as it can, in writes of argv[1] bytes, then the sha256 of all to stderr.
PRINTING = """
import hashlib, os, sys
size, rounds, digest = int(sys.argv[1]), int(sys.argv[2]), hashlib.sha256()
for number in range(rounds):
    data = (b"%d," % number * size)[:size]
    digest.update(data)
    while data:
        data = data[os.write(1, data):]
os.write(2, digest.hexdigest().encode())
"""

Reports = queue.SimpleQueue[Eof | Blocked | Resumed]
Outlet = Callable[[], tuple[tuple[int, ...], int]]
"""Makes what the copier reads, and the descriptor to which a worker writes."""


def open_pipe() -> tuple[tuple[int, ...], int]:
    read_end, write_end = os.pipe()
    return (read_end,), write_end


def open_raw_terminal() -> tuple[tuple[int, ...], int]:
    """One that adds nothing to what is written."""
    ends, slave = open_terminal(Window(80, 24), [])
    tty.setraw(slave)
    return ends, slave


@pytest.fixture(params=[open_pipe, open_raw_terminal], ids=["pipe", "terminal"])
def outlet(request: pytest.FixtureRequest) -> Outlet:
    chosen: Outlet = request.param
    return chosen


@pytest.fixture
def reports() -> Reports:
    return queue.SimpleQueue()


@pytest.fixture
def copier(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copier]:
    monkeypatch.setattr(copier_module, "_RETRY_AFTER", 0.01)
    started = Copier(reports.put)
    started.start()
    yield started
    started.close()


def next_report(reports: Reports) -> Eof | Blocked | Resumed:
    return reports.get(timeout=20)


def add(copier: Copier, outlet: Outlet, path: Path, key: tuple[str, str] = KEY) -> int:
    """Return the write end of what is copied."""
    ends, write_end = outlet()
    copier.add(key, ends, open_spool(str(path)))
    return write_end


def test_what_is_written_is_in_the_file_before_its_end_is_told(
    copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path
) -> None:
    pipe = add(copier, outlet, tmp_path / "stdout")

    os.write(pipe, b"no line end, \0 and \xff")
    os.close(pipe)

    assert next_report(reports) == Eof(KEY, 20)
    assert (tmp_path / "stdout").read_bytes() == b"no line end, \0 and \xff"


def test_a_stream_without_any_bytes_ends_too(copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path) -> None:
    os.close(add(copier, outlet, tmp_path / "stdout"))

    assert next_report(reports) == Eof(KEY, 0)
    assert (tmp_path / "stdout").read_bytes() == b""


def test_the_file_is_ours_alone_and_grows_where_it_ended(
    copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path
) -> None:
    for text in (b"before, ", b"after"):
        pipe = add(copier, outlet, tmp_path / "stdout")
        os.write(pipe, text)
        os.close(pipe)
        last = next_report(reports)

    assert last == Eof(KEY, 13)
    assert (tmp_path / "stdout").read_bytes() == b"before, after"
    assert (tmp_path / "stdout").stat().st_mode & 0o777 == 0o600


def test_a_lone_line_is_in_the_file_while_the_worker_lives_on(copier: Copier, outlet: Outlet, tmp_path: Path) -> None:
    pipe = add(copier, outlet, tmp_path / "stdout")

    os.write(pipe, b"line\n")

    wait_until(lambda: (tmp_path / "stdout").read_bytes() == b"line\n")
    os.close(pipe)


@pytest.mark.parametrize(("size", "rounds"), [(1, 3000), (100, 20_000), (8192, 1000), (1_000_003, 5)])
def test_many_streams_at_once_are_copied_byte_by_byte(
    copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path, size: int, rounds: int
) -> None:
    digests = {}
    for number in range(4):
        pipe = add(copier, outlet, tmp_path / str(number), (str(number), "stdout"))
        digests[number] = _start_printing(pipe, size, rounds)

    ends = {next_report(reports) for _ in digests}

    assert ends == {Eof((str(number), "stdout"), size * rounds) for number in digests}
    for number, digest in digests.items():
        assert hashlib.sha256((tmp_path / str(number)).read_bytes()).hexdigest() == digest()


def _start_printing(pipe: int, size: int, rounds: int) -> Callable[[], str]:
    """Print to the pipe, and close it here; what is returned waits for the sha256 of all that was written."""
    command = [sys.executable, "-I", "-S", "-c", PRINTING, str(size), str(rounds)]
    process = subprocess.Popen(command, stdout=pipe, stderr=subprocess.PIPE)
    os.close(pipe)

    def digest() -> str:
        with process:
            return process.communicate()[1].decode()

    return digest


def rest_of(ends: tuple[int, ...]) -> bytes:
    """All that is still in there; nobody writes to it any more."""
    data = bytearray()
    for fd in reversed(ends[:2]):  # what is in the relay of a terminal has left its master before
        os.set_blocking(fd, fd == ends[0])
        while more := _read(fd):
            data += more
    for fd in ends:
        os.close(fd)
    return bytes(data)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 20)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EIO}:  # it is empty, or at its end
            return b""
        raise


@pytest.mark.parametrize("after", [0, 100_000, 1_000_000, 10_000_000])
def test_a_copier_that_is_killed_in_mid_stream_loses_nothing(outlet: Outlet, tmp_path: Path, after: int) -> None:
    spool = tmp_path / "stdout"
    spool.touch()
    ends, write_end = outlet()
    command = [sys.executable, "-I", "-S", "-c", COPYING, str(ROOT), str(spool), *map(str, ends)]
    with subprocess.Popen(command, pass_fds=ends) as copying:
        digest = _start_printing(write_end, 4096, 10_000)
        wait_until(lambda: spool.stat().st_size >= after)
        copying.kill()

    with spool.open("ab") as file:
        file.write(rest_of(ends))

    assert hashlib.sha256(spool.read_bytes()).hexdigest() == digest()


def test_a_second_copier_goes_on_where_a_killed_one_ended(
    copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path
) -> None:
    spool = tmp_path / "stdout"
    spool.touch()
    ends, write_end = outlet()
    command = [sys.executable, "-I", "-S", "-c", COPYING, str(ROOT), str(spool), *map(str, ends)]
    with subprocess.Popen(command, pass_fds=ends) as copying:
        digest = _start_printing(write_end, 4096, 10_000)
        wait_until(lambda: spool.stat().st_size > 0)
        copying.kill()

    copier.add(KEY, ends, open_spool(str(spool)))

    assert next_report(reports) == Eof(KEY, 4096 * 10_000)
    assert hashlib.sha256(spool.read_bytes()).hexdigest() == digest()


def test_a_finished_stream_has_all_that_was_in_the_pipe_although_it_is_still_held(
    copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path
) -> None:
    pipe = add(copier, outlet, tmp_path / "stdout")
    os.write(pipe, MORE)

    copier.finish(KEY)

    assert next_report(reports) == Eof(KEY, len(MORE))
    assert (tmp_path / "stdout").read_bytes() == MORE
    with pytest.raises(OSError, match=r"Broken pipe|Input/output error"):
        os.write(pipe, b"too late")
    os.close(pipe)


def test_a_stream_is_finished_while_somebody_writes_on_and_on(
    copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path
) -> None:
    pipe = add(copier, outlet, tmp_path / "stdout")
    with subprocess.Popen(["yes"], stdout=pipe, stderr=subprocess.DEVNULL) as yes:
        os.close(pipe)
        wait_until(lambda: (tmp_path / "stdout").stat().st_size > 0)
        copier.finish(KEY)
        report = next_report(reports)
        yes.kill()

    assert report == Eof(KEY, (tmp_path / "stdout").stat().st_size)


def test_to_finish_a_stream_that_has_ended_or_never_was_changes_nothing(
    copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path
) -> None:
    os.close(add(copier, outlet, tmp_path / "stdout"))
    copier.finish(OTHER)
    copier.finish(KEY)
    copier.finish(KEY)

    assert next_report(reports) == Eof(KEY, 0)
    copier.close()
    assert reports.empty()


def test_closing_leaves_in_the_pipe_what_comes_later(reports: Reports, outlet: Outlet, tmp_path: Path) -> None:
    copier = Copier(reports.put)
    copier.start()
    ends, write_end = outlet()
    ours = tuple(map(os.dup, ends))
    copier.add(KEY, ends, open_spool(str(tmp_path / "stdout")))

    copier.close()
    os.write(write_end, MORE)
    os.close(write_end)

    assert rest_of(ours) == MORE
    assert reports.empty()


def test_a_full_file_keeps_the_bytes_in_the_pipe_until_there_is_room(
    copier: Copier, outlet: Outlet, reports: Reports, tmp_path: Path
) -> None:
    pipe = add(copier, outlet, tmp_path / "stdout")
    with file_size_limit(LIMIT):
        writer = threading.Thread(target=_write_all, args=(pipe, b"y" * (LIMIT + 200_000)))
        writer.start()
        first = next_report(reports)
        size = (tmp_path / "stdout").stat().st_size

    assert first == Blocked(KEY, os.strerror(errno.EFBIG))
    assert size == LIMIT
    assert next_report(reports) == Resumed(KEY)
    assert next_report(reports) == Eof(KEY, LIMIT + 200_000)
    writer.join()
    assert (tmp_path / "stdout").read_bytes() == b"y" * (LIMIT + 200_000)


def _write_all(pipe: int, data: bytes) -> None:
    with open(pipe, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Files of ours can grow so far only."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, stderr=subprocess.DEVNULL
    )
    needs("mount", "permission to mount a tmpfs", present=mount.returncode == 0)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_blocks_its_streams_and_nobody_else(
    copier: Copier, outlet: Outlet, reports: Reports, small_disk: Path, tmp_path: Path
) -> None:
    (small_disk / "others").write_bytes(b"z" * 900_000)
    pipe = add(copier, outlet, small_disk / "stdout")
    digest = _start_printing(pipe, 8192, 50)
    assert next_report(reports) == Blocked(KEY, os.strerror(errno.ENOSPC))

    os.close(add(copier, outlet, tmp_path / "elsewhere", OTHER))
    assert next_report(reports) == Eof(OTHER, 0)

    (small_disk / "others").unlink()
    assert next_report(reports) == Resumed(KEY)
    assert next_report(reports) == Eof(KEY, 8192 * 50)
    assert hashlib.sha256((small_disk / "stdout").read_bytes()).hexdigest() == digest()


def test_a_finished_stream_on_a_full_disk_ends_when_its_bytes_fit(
    copier: Copier, outlet: Outlet, reports: Reports, small_disk: Path
) -> None:
    (small_disk / "others").write_bytes(b"z" * LIMIT)
    pipe = add(copier, outlet, small_disk / "stdout")
    os.write(pipe, MORE)
    assert next_report(reports) == Blocked(KEY, os.strerror(errno.ENOSPC))

    copier.finish(KEY)
    (small_disk / "others").unlink()

    assert next_report(reports) == Resumed(KEY)
    assert next_report(reports) == Eof(KEY, len(MORE))
    os.close(pipe)


def test_a_file_that_cannot_be_created_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_spool(str(tmp_path / "missing" / "stdout"))


def test_a_write_that_fails_only_when_the_file_is_closed_is_told(
    copier: Copier, reports: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = os.pipe()
    spool = open_spool(str(tmp_path / "stdout"))
    close = os.close
    failing = {spool}

    def fail_for_the_spool(fd: int) -> None:
        close(fd)
        if fd in failing:
            failing.clear()
            raise OSError(errno.EDQUOT, "over quota")

    monkeypatch.setattr(os, "close", fail_for_the_spool)
    copier.add(KEY, (read_end,), spool)
    close(write_end)

    assert next_report(reports) == Blocked(KEY, "over quota")
    assert next_report(reports) == Eof(KEY, 0)


def pipe_size(pipe: int) -> int:
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)


def test_a_pipe_that_is_found_full_gets_more_room_and_one_that_is_not_stays_small(
    copier: Copier, reports: Reports, tmp_path: Path
) -> None:
    full, calm = add(copier, open_pipe, tmp_path / "stdout"), add(copier, open_pipe, tmp_path / "stderr", OTHER)
    before = pipe_size(calm)
    data = os.urandom(8 * before)

    os.write(calm, b"a line\n")
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(full, rest) :]
    wait_until(lambda: (tmp_path / "stdout").stat().st_size == len(data))

    assert (pipe_size(full), pipe_size(calm)) == (4 * before, before)
    for pipe in (full, calm):
        os.close(pipe)
        next_report(reports)
    assert (tmp_path / "stdout").read_bytes() == data


def test_only_a_few_pipes_get_more_room_and_each_makes_place_at_its_end(
    copier: Copier, reports: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copier_module, "_WIDE_PIPES", 1)
    sizes = []

    for name in ("first", "second", "third"):
        pipes = [add(copier, open_pipe, tmp_path / f"{name}{index}", (name, str(index))) for index in range(2)]
        for pipe in pipes:
            os.write(pipe, bytes(64 * 1024))
        wait_until(lambda: all((tmp_path / f"{name}{index}").stat().st_size == 64 * 1024 for index in range(2)))  # noqa: B023
        for pipe in pipes:
            os.write(pipe, b"end")
        wait_until(lambda: all((tmp_path / f"{name}{index}").stat().st_size > 64 * 1024 for index in range(2)))  # noqa: B023
        sizes.append(sorted(map(pipe_size, pipes)))
        for pipe in pipes:
            os.close(pipe)
            next_report(reports)

    assert sizes == [[64 * 1024, 256 * 1024]] * 3
