"""Files that a worker writes itself: it appends, and the kernel tells whether anybody still can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors.keeper_process.outfile import is_written, open_outfile, reopen_outfile


def test_who_shares_the_file_appends_and_overwrites_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    fds = [open_outfile(path) for _ in range(2)]

    for number, fd in enumerate([*fds, *fds]):
        os.write(fd, b"%d\n" % number)

    assert Path(path).read_bytes() == b"0\n1\n2\n3\n"
    assert Path(path).stat().st_mode & 0o777 == 0o600
    for fd in fds:
        os.close(fd)


def test_it_is_known_whether_somebody_can_write(tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    writer = open_outfile(path)
    reader = reopen_outfile(path)

    assert is_written(reader)
    os.close(writer)
    assert is_written(reader) is False
    with subprocess.Popen(
        [sys.executable, "-c", f"f = open({path!r}, 'a'); print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert is_written(reader)
        other.communicate(b"\n")
    assert is_written(reader) is False
    os.close(reader)


def test_who_opens_it_meanwhile_is_not_held_up_for_long(tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    os.close(open_outfile(path))
    reader = reopen_outfile(path)

    script = f"import os\nfor _ in range(3000): os.close(os.open({path!r}, os.O_WRONLY))"
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", script]) as other:
        while other.poll() is None:
            is_written(reader)

    assert other.returncode == 0
    os.close(reader)


def test_of_what_knows_no_leases_nothing_is_known() -> None:
    reader, writer = os.pipe()

    assert is_written(reader) is None

    os.close(reader)
    os.close(writer)


def test_a_file_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_outfile(str(tmp_path / "none" / "out"))
