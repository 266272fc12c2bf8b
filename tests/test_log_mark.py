"""What it takes to go on with a copy later is beside the spool, or nobody knows it."""

from pathlib import Path

import pytest

from actors.sources.log_files import LogFile
from actors.sources.log_mark import LogMark, read_mark, write_mark


def test_a_mark_is_read_as_it_was_written_last(tmp_path: Path) -> None:
    spool = str(tmp_path / "log")

    for start in (1, 2):
        write_mark(spool, LogMark(device=3, inode=4, start=start, spool=5))

    assert read_mark(spool) == LogMark(device=3, inode=4, start=2, spool=5)
    assert [path.name for path in tmp_path.iterdir()] == ["log.origin"]


def test_the_place_in_the_file_follows_from_the_size_of_the_spool() -> None:
    mark = LogMark(device=3, inode=4, start=100, spool=10)

    assert (mark.place(10), mark.place(15), mark.place(3)) == (100, 105, 100)
    assert mark.is_of(LogFile(0, (3, 4)))
    assert not mark.is_of(LogFile(0, (3, 5)))


@pytest.mark.parametrize("text", [b"", b"{}", b'{"device":1', b"\xff"])
def test_what_is_no_mark_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "log.origin").write_bytes(text)

    assert read_mark(str(tmp_path / "log")) is None
    assert read_mark(str(tmp_path / "other")) is None


def test_a_mark_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    spool = str(tmp_path / "log")
    write_mark(spool, LogMark(device=3, inode=4, start=1, spool=5))
    (tmp_path / "log.origin.new").mkdir()

    with pytest.raises(IsADirectoryError):
        write_mark(spool, LogMark(device=3, inode=4, start=2, spool=5))

    mark = read_mark(spool)
    assert mark is not None and mark.start == 1
