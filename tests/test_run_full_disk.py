"""The disk of the state folder fills up in the middle of a run: its worker waits, and nothing is lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocols.events import SpoolBlocked, SpoolResumed, WorkerMismatch
from tests.running import RunningPlan, callboard, python, running
from tests.small_disk import small_disk

FIRST, ALL = 100_000, 500_000
DATA = b"".join(b"%07d\n" % number for number in range(ALL // 8))
SCRIPT = f"""
import pathlib, time
data = b''.join(b'%07d\\n' % number for number in range({ALL} // 8))
out = open(1, 'wb', buffering=0)
out.write(data[:{FIRST}])
while not pathlib.Path('go').exists():
    time.sleep(0.01)
rest = memoryview(data)[{FIRST}:]
while rest:
    rest = rest[out.write(rest):]
"""


@contextmanager
def _full(cwd: Path) -> Iterator[tuple[RunningPlan, Path]]:
    """A run whose worker has more to write than its disk takes; and the file whose removal makes room."""
    with small_disk(cwd / ".callboard", "1m") as disk:
        disk.chmod(0o700)
        with running(cwd, python("a", SCRIPT)) as run:
            run.wait_until(lambda: run.spool_path("a").exists() and run.spool_path("a").stat().st_size == FIRST)
            room = os.statvfs(disk)
            (disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_frsize))
            (cwd / "go").touch()
            run.wait_until(lambda: b"waits, its spool cannot be written" in run.stdout or "waits for" in run.stderr)
            yield run, disk / "ballast"


def test_a_worker_waits_for_a_full_disk_and_every_byte_arrives(tmp_path: Path) -> None:
    with _full(tmp_path) as (run, ballast):
        assert FIRST <= run.spool_path("a").stat().st_size < ALL
        ballast.unlink()
        run.finish()

        assert run.spool("a") == DATA
        assert not run.events(WorkerMismatch)
        assert {event.error for event in run.events(SpoolBlocked)} == {"No space left on device"}
        assert len(run.events(SpoolResumed)) == len(run.events(SpoolBlocked)) == 1


def test_what_was_captured_can_be_read_while_the_disk_is_full(tmp_path: Path) -> None:
    with _full(tmp_path) as (run, ballast):
        assert callboard(tmp_path, "logs", run.fleet.name, "a").stdout.encode() == DATA[: _size(run)]
        assert "a     running" in callboard(tmp_path, "status").stdout
        assert "1 running" in callboard(tmp_path, "runs").stdout
        ballast.unlink()
        run.finish()


def _size(run: RunningPlan) -> int:
    return run.spool_path("a").stat().st_size


def test_a_run_killed_on_a_full_disk_has_its_bytes_and_gets_its_end_once_there_is_room(tmp_path: Path) -> None:
    with _full(tmp_path) as (run, ballast):
        run.process.kill()
        run.wait()

        listed = callboard(tmp_path, "runs").stdout
        logged = callboard(tmp_path, "logs", run.fleet.name, "a").stdout

        assert "interrupted" in listed
        assert logged.encode() == DATA[: _size(run)]
        ballast.unlink()
        assert "1 stopped" in callboard(tmp_path, "runs").stdout
