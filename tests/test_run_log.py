"""Warnings while a picture is shown, and after it."""

import logging
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from protocols.layout import FleetFolder
from supervisor.run_log import Warnings, log_to


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard error is a terminal; this is its other side."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    monkeypatch.setattr("supervisor.run_log._STDERR", slave)
    yield master
    os.close(master)
    os.close(slave)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    monkeypatch.setattr("supervisor.run_log._STDERR", write)
    yield read
    os.close(read)
    os.close(write)


def _written(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


def test_on_a_terminal_a_warning_goes_into_the_picture_and_is_told_behind_it(terminal: int) -> None:
    outbox, inbox = trio.open_memory_channel[str](2)
    warnings = Warnings(outbox)

    warnings.tell("the disk is full")
    shown, before = inbox.receive_nowait(), _written(terminal)
    warnings.release()

    assert (shown, before) == ("the disk is full", b"")
    assert _written(terminal) == b"warning: the disk is full\r\n"


def test_elsewhere_it_is_told_at_once_too(pipe: int) -> None:
    outbox, inbox = trio.open_memory_channel[str](2)
    warnings = Warnings(outbox)

    warnings.tell("the disk is full")
    at_once = _written(pipe)
    warnings.release()

    assert (inbox.receive_nowait(), at_once) == ("the disk is full", b"warning: the disk is full\n")
    assert _written(pipe) == b""


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("gone", [True, False])
def test_a_picture_that_takes_no_more_loses_nothing_that_is_told_behind_it(gone: bool) -> None:
    outbox, inbox = trio.open_memory_channel[str](1)
    if gone:
        inbox.close()
    warnings = Warnings(outbox)

    for number in range(100):
        warnings.tell(str(number))

    assert warnings.held == [str(number) for number in range(20)]


def test_that_the_journal_cannot_be_written_is_told_and_other_lines_go_to_the_file(tmp_path: Path, pipe: int) -> None:
    folder = FleetFolder(tmp_path)

    with log_to(folder):
        logging.getLogger("actors.journal").warning("it waits")
        logging.getLogger("actors.hub").warning("for developers")

    assert _written(pipe) == b"warning: it waits\n"
    assert [line.split(" ", 2)[2] for line in folder.log.read_text().splitlines()] == [
        "WARNING actors.journal: it waits",
        "WARNING actors.hub: for developers",
    ]
