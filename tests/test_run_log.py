"""Warnings while a picture is shown, and after it."""

import logging
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from actors.messages import Said
from protocols.layout import FleetFolder
from supervisor.run_log import Sayer, log_to, tell_log


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
    outbox, inbox = trio.open_memory_channel[Said](2)
    sayer = Sayer(outbox)

    sayer.warn("the disk is full")
    shown, before = inbox.receive_nowait(), _written(terminal)
    sayer.release()

    assert (shown, before) == (Said("the disk is full", "the disk is full"), b"")
    assert _written(terminal) == b"warning: the disk is full\r\n"


def test_elsewhere_it_is_told_at_once_too(pipe: int) -> None:
    outbox, inbox = trio.open_memory_channel[Said](2)
    sayer = Sayer(outbox)

    sayer.warn("the disk is full")
    at_once = _written(pipe)
    sayer.release()

    assert (inbox.receive_nowait().text, at_once) == ("the disk is full", b"warning: the disk is full\n")
    assert _written(pipe) == b""


def test_of_what_is_told_behind_the_picture_there_is_not_too_much(terminal: int) -> None:
    outbox, _inbox = trio.open_memory_channel[Said](1)
    sayer = Sayer(outbox)

    for number in range(100):
        sayer.warn(str(number))

    assert sayer.held == [str(number) for number in range(20)]
    assert _written(terminal) == b""


def test_what_holds_for_a_while_is_not_told_behind_the_picture(terminal: int) -> None:
    outbox, inbox = trio.open_memory_channel[Said](2)
    sayer = Sayer(outbox)

    sayer.say("supervisor", "it is stopped")
    sayer.say("supervisor", "")
    sayer.release()

    assert [inbox.receive_nowait() for _ in range(2)] == [Said("supervisor", "it is stopped"), Said("supervisor", "")]
    assert _written(terminal) == b""


def test_where_the_picture_is_gone_it_is_told_at_once(terminal: int) -> None:
    outbox, inbox = trio.open_memory_channel[Said](2)
    inbox.close()

    Sayer(outbox).say("journal", "it cannot be written")

    assert _written(terminal) == b"warning: it cannot be written\r\n"


def test_a_warning_after_the_picture_is_told_once(terminal: int) -> None:
    outbox, inbox = trio.open_memory_channel[Said](2)
    inbox.close()
    sayer = Sayer(outbox)

    sayer.warn("no picture can be shown")
    sayer.release()

    assert _written(terminal) == b"warning: no picture can be shown\r\n"


def test_of_a_run_of_somebody_else_only_what_hindered_its_end_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as outside of tests

    with tell_log(told.append):
        logging.getLogger("supervisor.sweep").warning("its keeper hangs")
        logging.getLogger("actors.hub").error("for developers")
        silent = capfd.readouterr().err == ""
    logging.getLogger("supervisor.sweep").warning("later")

    assert silent
    assert told == ["its keeper hangs"]
    assert capfd.readouterr().err.endswith("later\n")


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
