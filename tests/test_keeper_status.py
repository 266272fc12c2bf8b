import os
from pathlib import Path

import pytest

from actors.keeper_process.status import STATUS_SIZE, Status, StatusFile, read_status
from tests.small_disk import small_disk

RUNNING = Status("running", "a" * 32, 4711, 123456, "b" * 36)
LONGEST = Status(
    state="starting",
    attempt="a" * 64,
    pid=2**31,
    start_ticks=2**63,
    boot_id="b" * 36,
    code=255,
    signal="SIGRTMIN+29",
    exited_at=1795199125.0674138,
    stdout_bytes=2**63,
    stderr_bytes=2**63,
    reason="not-started",
    terminal_bytes=2**63,
)


@pytest.mark.parametrize("status", [RUNNING, LONGEST, RUNNING._replace(state="ended", code=0, exited_at=1.5)])
def test_what_was_written_is_read(tmp_path: Path, status: Status) -> None:
    path = tmp_path / "status"
    file = StatusFile(os.fsencode(path))

    file.write(status)
    file.close()

    assert read_status(path) == status
    assert path.stat().st_size == STATUS_SIZE
    assert path.read_bytes().count(b"\n") == 1


def test_a_shorter_status_replaces_all_of_a_longer_one(tmp_path: Path) -> None:
    file = StatusFile(os.fsencode(tmp_path / "status"))

    file.write(LONGEST)
    file.write(RUNNING)
    file.close()

    assert read_status(tmp_path / "status") == RUNNING


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * STATUS_SIZE,
        b"{}".ljust(STATUS_SIZE - 1) + b"\n",
        b"[]".ljust(STATUS_SIZE - 1) + b"\n",
        b"[" * (STATUS_SIZE - 1) + b"\n",
        b"\xff" * (STATUS_SIZE - 1) + b"\n",
        b"hello\n",
        b"x" * 10_000,
    ],
)
def test_a_foreign_file_has_no_status(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "status"
    path.write_bytes(data)

    assert read_status(path) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"running"', b'"flying" '), (b"4711", b'"no"'), (b'"code":null', b'"code":true'), (b'"pid"', b'"pit"')],
)
def test_a_status_with_a_wrong_field_is_none(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "status"
    file = StatusFile(os.fsencode(path))
    file.write(RUNNING)
    file.close()

    path.write_bytes(path.read_bytes().replace(old, new))

    assert read_status(path) is None


def test_half_a_status_is_none(tmp_path: Path) -> None:
    path = tmp_path / "status"
    file = StatusFile(os.fsencode(path))
    file.write(RUNNING)
    file.close()

    path.write_bytes(path.read_bytes()[:100].ljust(STATUS_SIZE, b"\0"))

    assert read_status(path) is None


def test_a_missing_file_and_a_folder_have_no_status(tmp_path: Path) -> None:
    assert read_status(tmp_path / "none") is None
    assert read_status(tmp_path) is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "status").symlink_to("victim")

    with pytest.raises(OSError, match="symbolic"):
        StatusFile(os.fsencode(tmp_path / "status"))

    assert (tmp_path / "victim").read_text() == "precious"


def test_what_does_not_fit_is_an_error_and_no_cut_line(tmp_path: Path) -> None:
    file = StatusFile(os.fsencode(tmp_path / "status"))

    with pytest.raises(ValueError, match="does not fit"):
        file.write(RUNNING._replace(attempt="a" * STATUS_SIZE))

    file.close()


def test_a_full_disk_is_said_when_the_file_is_made_and_no_exit_is_lost_to_it_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        file = StatusFile(os.fsencode(disk / "first"))
        with pytest.raises(OSError, match="No space"):
            (disk / "filler").write_bytes(b"x" * 1_000_000)
        with pytest.raises(OSError, match="No space"):
            StatusFile(os.fsencode(disk / "second"))

        file.write(LONGEST)
        file.close()

        assert read_status(disk / "first") == LONGEST
        assert not (disk / "second").exists()
