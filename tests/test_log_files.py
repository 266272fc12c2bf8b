"""A log file is open once, and closed when the last who follows it is gone."""

import os
from pathlib import Path

import pytest

from actors.sources.log_files import LogFiles
from protocols.errors import SpawnError


def test_the_same_file_by_another_name_is_not_opened_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    os.link(tmp_path / "a", tmp_path / "b")
    files = LogFiles()

    first, second = files.take(str(tmp_path / "a")), files.take(str(tmp_path / "b"))

    assert first is second
    files.release(first)
    assert os.pread(second.fd, 10, 0) == b"text"
    files.release(second)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(second.fd)


def test_another_file_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    files = LogFiles()
    old = files.take(str(path))

    path.rename(tmp_path / "b")
    path.write_bytes(b"new")
    new = files.take(str(path))

    assert [os.pread(each.fd, 10, 0) for each in (old, new)] == [b"old", b"new"]
    for each in (old, new):
        files.release(each)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    files = LogFiles()

    with pytest.raises(SpawnError, match=r"is no file but a pipe, a socket or a device; name a file$"):
        files.take(str(tmp_path / "fifo"))
    with pytest.raises(SpawnError, match=r"is a folder; name a file$"):
        files.take(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        files.take(str(tmp_path / "none"))
