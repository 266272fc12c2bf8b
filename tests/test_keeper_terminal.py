import errno
import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from actors.keeper_process.fields import Window
from actors.keeper_process.terminal import TerminalEnd, name_of, open_slave, open_terminal, resize

LIMIT = 1 << 20


class Line(NamedTuple):
    """A terminal with both its sides."""

    end: TerminalEnd
    ends: tuple[int, ...]
    slave: int


@pytest.fixture
def line() -> Iterator[Line]:
    ends, slave = open_terminal(Window(100, 30), [])
    line = Line(TerminalEnd(*ends), ends, slave)
    yield line
    line.end.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "terminal", os.O_RDWR | os.O_CREAT, 0o600)
    yield fd
    os.close(fd)


def window_of(fd: int) -> tuple[int, int]:
    rows, columns, _, _ = struct.unpack("4H", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    return columns, rows


def test_a_terminal_has_its_size_before_anybody_sees_it_and_may_get_another(line: Line) -> None:
    before = window_of(line.slave)
    resize(line.end.fd, Window(40, 10))

    assert (before, window_of(line.slave)) == ((100, 30), (40, 10))
    os.close(line.slave)


def test_a_terminal_is_one_as_people_have_it(line: Line) -> None:
    iflag, oflag, _, lflag, *_ = termios.tcgetattr(line.slave)

    assert iflag & termios.ICRNL and iflag & 0o40000  # IUTF8
    assert oflag & termios.OPOST and oflag & termios.ONLCR
    assert all(lflag & each for each in (termios.ECHO, termios.ICANON, termios.ISIG))
    os.close(line.slave)


def test_nothing_of_it_is_inherited(line: Line) -> None:
    assert not any(os.get_inheritable(fd) for fd in (*line.ends, line.slave))
    os.close(line.slave)


def test_its_name_is_that_of_its_slave(line: Line) -> None:
    assert name_of(line.end.fd) == os.ttyname(line.slave)
    os.close(line.slave)


def test_what_is_written_goes_to_the_file_and_then_there_is_nothing(line: Line, spool: int) -> None:
    os.write(line.slave, b"one\ntwo\xff\0")

    moved = line.end.move(spool, LIMIT)

    assert os.pread(spool, 100, 0) == b"one\r\ntwo\xff\0"
    assert moved == 10
    with pytest.raises(BlockingIOError):
        line.end.move(spool, LIMIT)
    os.close(line.slave)


def test_it_is_at_its_end_when_all_is_read_and_nobody_has_it_open(line: Line, spool: int) -> None:
    os.write(line.slave, b"last")
    os.close(line.slave)

    assert [line.end.move(spool, LIMIT) for _ in range(3)] == [4, 0, 0]


def test_it_has_no_end_while_one_slave_is_open_whoever_closes_theirs(line: Line, spool: int) -> None:
    other = open_slave(line.end.fd)
    os.close(line.slave)

    with pytest.raises(BlockingIOError):
        line.end.move(spool, LIMIT)
    os.write(other, b"again")
    os.close(other)

    assert [line.end.move(spool, LIMIT) for _ in range(2)] == [5, 0]


def test_the_slave_that_is_opened_again_controls_nobody(line: Line) -> None:
    slave = open_slave(line.end.fd)

    with pytest.raises(OSError, match="Inappropriate ioctl"):
        os.tcgetpgrp(slave)
    os.close(slave)
    os.close(line.slave)


def test_what_somebody_left_in_the_relay_comes_first(line: Line, spool: int) -> None:
    os.write(line.ends[2], b"before ")
    os.write(line.slave, b"after")
    taken = TerminalEnd(*line.ends)

    assert taken.pending == 7
    assert [taken.move(spool, LIMIT), taken.move(spool, LIMIT)] == [7, 5]
    assert os.pread(spool, 100, 0) == b"before after"
    os.close(line.slave)


def test_what_the_file_does_not_take_stays_in_the_relay(line: Line, spool: int, tmp_path: Path) -> None:
    os.write(line.slave, b"text")
    read_only = os.open(tmp_path / "terminal", os.O_RDONLY)

    with pytest.raises(OSError, match="Bad file descriptor"):
        line.end.move(read_only, LIMIT)

    assert line.end.pending == 4
    assert line.end.move(spool, LIMIT) == 4
    os.close(read_only)
    os.close(line.slave)


def test_without_splice_of_terminals_the_bytes_are_the_same(
    line: Line, spool: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    splice = os.splice

    def no_terminal(source: int, target: int, count: int, *, flags: int) -> int:
        if source == line.end.fd:
            raise OSError(errno.EINVAL, "Invalid argument")
        return splice(source, target, count, flags=flags)

    monkeypatch.setattr(os, "splice", no_terminal)
    with pytest.raises(BlockingIOError):
        line.end.move(spool, LIMIT)
    data = bytes(range(32, 127)) * 100
    os.write(line.slave, data)
    os.close(line.slave)

    while line.end.move(spool, LIMIT):
        pass

    assert os.pread(spool, LIMIT, 0) == data
