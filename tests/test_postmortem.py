"""What files tell of an attempt that no keeper knows any more."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.keeper_process.status import Status, StatusFile
from actors.postmortem import Finding, examine
from protocols.ids import AttemptId, FleetId
from protocols.keeper import Spawned
from protocols.kinds import Stream

FLEET, ATTEMPT = FleetId("e" * 32), AttemptId("a" * 32)
SEEN_AT = 1000.0


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    mark = {"CALLBOARD_MARK": f"{FLEET}/{ATTEMPT}"}
    with subprocess.Popen(["sleep", "1000"], env={**os.environ, **mark}) as process:
        yield process
        process.kill()


def _examine(
    folder: Path, status: Status | None, *, boot_id: str = "boot", output: bytes = b"", ran: bool = False
) -> Finding | None:
    path = folder / "status"
    if status is not None:
        file = StatusFile(os.fsencode(path))
        file.write(status)
        file.close()
    spools: dict[Stream, Path] = {"stdout": folder / "stdout", "stderr": folder / "stderr"}
    (folder / "stdout").write_bytes(output)
    return examine(FLEET, ATTEMPT, path, spools, boot_id=boot_id, seen_at=SEEN_AT, ran=ran)


def test_an_exit_that_was_written_down_is_told_as_it_was(tmp_path: Path) -> None:
    status = Status("exited", ATTEMPT, 7, 70, "boot", code=3, exited_at=500.0, reason="timeout")

    found = _examine(tmp_path, status, output=b"bytes")

    assert found is not None
    report = found.report
    assert (report.code, report.exited_at, report.reason, report.stdout_bytes) == (3, 500.0, "timeout", 5)
    assert found.error == ""


@pytest.mark.parametrize(("boot_id", "why"), [("boot", "killed"), ("another", "restarted")])
def test_an_end_that_nobody_saw_is_lost_with_the_reason(tmp_path: Path, boot_id: str, why: str) -> None:
    found = _examine(tmp_path, Status("running", ATTEMPT, 7, 70, "boot"), boot_id=boot_id, output=b"bytes")

    assert found is not None
    report = found.report
    assert (report.code, report.signal, report.reason) == (None, None, "lost")
    assert (report.exited_at, report.stdout_bytes) == (SEEN_AT, 5)
    assert why in found.error


@pytest.mark.parametrize(
    "status",
    [
        None,
        Status("ended", ATTEMPT, 0, 0, "boot", reason="not-started"),
        Status("running", "another", 7, 70, "boot"),
    ],
)
def test_what_has_no_status_of_its_own_was_never_started(tmp_path: Path, status: Status | None) -> None:
    assert _examine(tmp_path, status) is None


def test_what_still_runs_of_it_is_ended(tmp_path: Path, worker: subprocess.Popen[bytes]) -> None:
    _examine(tmp_path, Status("running", ATTEMPT, worker.pid, 70, "boot"))

    assert worker.wait() == -signal.SIGKILL


def test_after_a_reboot_no_process_can_be_of_it(tmp_path: Path, worker: subprocess.Popen[bytes]) -> None:
    _examine(tmp_path, Status("running", ATTEMPT, worker.pid, 70, "boot"), boot_id="another")

    assert worker.poll() is None


def test_a_start_that_no_record_tells_is_told_by_the_status_file(tmp_path: Path) -> None:
    status = Status("ended", ATTEMPT, 7, 70, "boot", code=0, exited_at=500.0, started_at=400.0)

    found = _examine(tmp_path, status)

    assert found is not None
    assert found.started == Spawned(pid=7, start_ticks=70, at=400.0)


def test_what_has_records_and_no_readable_status_is_lost_with_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes(bytes(512))

    found = _examine(tmp_path, None, output=b"bytes", ran=True)

    assert found is not None
    assert (found.report.reason, found.report.stdout_bytes, found.started) == ("lost", 5, None)
