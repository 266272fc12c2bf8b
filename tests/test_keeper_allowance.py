"""Streams that may only print so much."""

import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.keeper_process.allowance import Allowance
from actors.keeper_process.copier import Blocked, Copier, Eof, Resumed, open_spool
from actors.keeper_process.fields import Window
from actors.keeper_process.terminal import open_terminal
from tests.process_trees import wait_until

KEY, OTHER = ("a", "stdout"), ("a", "stderr")
LIMIT = 1000
REACHED = "its spool_limit of 1 kB is reached"

Reports = queue.SimpleQueue[Eof | Blocked | Resumed]


@pytest.fixture
def reports() -> Reports:
    return queue.SimpleQueue()


@pytest.fixture
def copier(reports: Reports) -> Iterator[Copier]:
    started = Copier(reports.put)
    started.start()
    yield started
    started.close()


def add(copier: Copier, path: Path, allowance: Allowance, key: tuple[str, str] = KEY) -> int:
    """The write end of a pipe that is copied."""
    read_end, write_end = os.pipe()
    copier.add(key, (read_end,), open_spool(str(path)), allowance)
    return write_end


def test_an_allowance_is_used_up_by_what_was_copied() -> None:
    allowance = Allowance(LIMIT)

    assert allowance.room(5000) == LIMIT
    allowance.use(600)
    assert (allowance.room(5000), allowance.room(10)) == (400, 10)
    allowance.use(600)
    assert allowance.room(1) == 0
    assert Allowance().room(10**12) == 10**12


def test_at_its_limit_a_stream_waits_and_at_its_end_nothing_is_lost(
    copier: Copier, reports: Reports, tmp_path: Path
) -> None:
    data = os.urandom(5000)
    pipe = add(copier, tmp_path / "spool", Allowance(LIMIT))

    os.write(pipe, data)

    assert reports.get(timeout=20) == Blocked(KEY, REACHED, retried=False)
    assert (tmp_path / "spool").read_bytes() == data[:LIMIT]
    os.close(pipe)
    copier.finish(KEY)
    assert reports.get(timeout=20) == Eof(KEY, 5000)
    assert (tmp_path / "spool").read_bytes() == data


def test_who_prints_exactly_what_it_may_ends_as_usual(copier: Copier, reports: Reports, tmp_path: Path) -> None:
    pipe = add(copier, tmp_path / "spool", Allowance(LIMIT))

    os.write(pipe, b"x" * LIMIT)
    wait_until(lambda: (tmp_path / "spool").stat().st_size == LIMIT)
    os.close(pipe)

    assert reports.get(timeout=20) == Eof(KEY, LIMIT)


def test_all_streams_of_a_worker_share_one_allowance(copier: Copier, reports: Reports, tmp_path: Path) -> None:
    allowance = Allowance(LIMIT)
    out, err = add(copier, tmp_path / "out", allowance), add(copier, tmp_path / "err", allowance, OTHER)

    os.write(out, b"x" * 900)
    wait_until(lambda: (tmp_path / "out").stat().st_size == 900)
    os.write(err, b"y" * 900)

    assert reports.get(timeout=20) == Blocked(OTHER, REACHED, retried=False)
    assert (tmp_path / "err").stat().st_size == 100
    os.close(out)
    os.close(err)


def test_what_an_earlier_keeper_copied_counts_too(copier: Copier, reports: Reports, tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"x" * LIMIT)
    pipe = add(copier, tmp_path / "spool", Allowance(LIMIT))

    os.write(pipe, b"more")

    assert reports.get(timeout=20) == Blocked(KEY, REACHED, retried=False)
    os.close(pipe)


def test_a_terminal_waits_too(copier: Copier, reports: Reports, tmp_path: Path) -> None:
    ends, slave = open_terminal(Window(80, 24), [])
    copier.add(KEY, ends, open_spool(str(tmp_path / "spool")), Allowance(LIMIT))

    os.write(slave, b"x" * 3000)

    assert reports.get(timeout=20) == Blocked(KEY, REACHED, retried=False)
    assert (tmp_path / "spool").stat().st_size == LIMIT
    os.close(slave)
    copier.finish(KEY)
    assert reports.get(timeout=20) == Eof(KEY, 3000)
