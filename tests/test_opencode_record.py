"""What is written down of a server for the next supervisor."""

import stat
from pathlib import Path

import pytest

from actors.opencode_record import ServerRecord, last_boot, read_record, write_record
from actors.session_messages import Endpoint
from protocols.ids import AttemptId

_RECORD = ServerRecord(AttemptId("a" * 32), 3, Endpoint("http://127.0.0.1:1", "secret", "somebody"))


def test_what_was_written_is_read_again_and_nobody_else_may(tmp_path: Path) -> None:
    write_record(tmp_path, _RECORD)

    assert read_record(tmp_path) == _RECORD
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o600]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"attempt": 1}', "\0"])
def test_what_cannot_be_read_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)

    assert read_record(tmp_path) is None


def test_without_a_file_there_is_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path / "none") is None


def test_the_last_boot_is_the_greatest_number(tmp_path: Path) -> None:
    assert last_boot(tmp_path / "none") == 0
    for name in ("2", "10", "9", "server.json", "x1"):
        (tmp_path / name).mkdir()

    assert last_boot(tmp_path) == 10
