"""Writing a spool from here: in order, and patient with a full disk."""

import errno
import os
from pathlib import Path

import pytest
import trio

from actors.spool_writer import SpoolWriter
from protocols.ids import AttemptId
from protocols.keeper import Blocked, Report, Resumed

A = AttemptId("0" * 32)


def _writer(path: Path, reports: trio.MemorySendChannel[Report]) -> SpoolWriter:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    limiter = trio.CapacityLimiter(1)
    return SpoolWriter(attempt=A, stream="terminal", fd=fd, reports=reports, limiter=limiter, retry=0.001)


async def test_bytes_go_behind_what_is_there_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"before ")
    reports, inbox = trio.open_memory_channel[Report](4)
    writer = _writer(tmp_path / "spool", reports)

    await writer.write(b"one ")
    await writer.write(b"two")
    os.close(writer.fd)

    assert (tmp_path / "spool").read_bytes() == b"before one two"
    assert writer.size == 14
    assert inbox.statistics().current_buffer_used == 0


async def test_a_full_disk_is_told_once_and_tried_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports, inbox = trio.open_memory_channel[Report](4)
    writer, write, failures = _writer(tmp_path / "spool", reports), os.write, [3]

    def full(fd: int, data: memoryview) -> int:
        if fd != writer.fd or not failures[0]:
            return write(fd, data[:2])  # a disk that is nearly full takes a part
        failures[0] -= 1
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("actors.spool_writer.os.write", full)
    await writer.write(b"hello")

    assert (tmp_path / "spool").read_bytes() == b"hello"
    assert [inbox.receive_nowait(), inbox.receive_nowait()] == [
        Blocked(attempt=A, stream="terminal", error="No space left on device"),
        Resumed(attempt=A, stream="terminal"),
    ]
    assert inbox.statistics().current_buffer_used == 0 and not writer.blocked
    os.close(writer.fd)
