"""A full disk holds a run up and loses nothing; journals that are not ours to read are left as they are."""

import hashlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from protocols.events import (
    RunEnded,
    SpoolBlocked,
    SpoolResumed,
    WorkerExited,
    WorkerMismatch,
    WorkerOutput,
    WorkerStarted,
)
from protocols.fleet_events import JournalResumed
from protocols.task_output import TaskOutput
from supervisor.fleets import find_fleets
from tests.detached import UNTIL_GO, go
from tests.keeper_client import is_alive
from tests.running import RunningPlan, callboard, running, task
from tests.small_disk import small_disk
from tests.sources import KINDS, LOGFILE, PIPE, Kind
from tests.writers import WRITE, acknowledged, has_line_numbers, writer

_DISK = 4 * 1024 * 1024
_PAGE = 4096
_LARGE = 3 * 1024 * 1024
_STILL = 50
"""So many looks that see the same: a busy machine may leave a keeper waiting for a few of them."""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a disk of its own."""
    with small_disk(tmp_path / ".callboard", size=str(_DISK)) as disk:
        disk.chmod(0o700)
        yield disk


def _fill(disk: Path, *, leave: int) -> Path:
    """Leave so many bytes free, where nobody else writes; removing the file that is returned frees the rest."""
    ballast = disk / ".ballast"
    rest = os.statvfs(disk).f_bavail * _PAGE - leave
    with ballast.open("wb") as file, suppress(OSError):
        while rest:
            rest -= os.write(file.fileno(), bytes(min(rest, _PAGE)))
    return ballast


def _wait_until_full(run: RunningPlan, name: str, kind: Kind = PIPE) -> None:
    """Until the worker waits in a write: nothing moves any more, and what it wrote last is behind a full disk."""
    path, state = run.spool_path(name, stream=kind.stream), run.cwd / ".callboard"
    looks: list[tuple[int, int]] = []

    def is_still() -> bool:
        size, written = path.stat().st_size, acknowledged(run, name)
        looks.append((size, written))
        return len(looks) >= _STILL and len(set(looks[-_STILL:])) == 1 and written >= size + kind.pile

    run.wait_until(lambda: os.statvfs(state).f_bavail == 0 and is_still())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not LOGFILE], ids=lambda kind: kind.name)
def test_a_full_disk_holds_the_worker_up_and_not_one_byte_is_lost(tmp_path: Path, state: Path, kind: Kind) -> None:
    ballast = _fill(state, leave=2 * 1024 * 1024)
    with running(tmp_path, kind.writer("a", size=_LARGE), task("b", "echo after", needs=["a"])) as run:
        run.wait_for(WorkerStarted, "a")
        _wait_until_full(run, "a", kind)
        worker = run.wait_for(WorkerStarted, "a").pid
        assert kind.copied_by_us or not kind.kept or is_alive(worker)  # tmux may take all of it

        ballast.unlink()
        run.finish()

        assert has_line_numbers(kind.spool(run, "a"))
        ended = run.wait_for(WorkerExited, "a")
        written = ended.stdout_bytes + ended.terminal_bytes + ended.log_bytes
        assert len(kind.spool(run, "a")) == acknowledged(run, "a") == written == kind.covered(run, "a") == _LARGE
        assert getattr(run.attempt("a"), kind.stream).lines == _LARGE // 16
        (blocked,) = run.events(SpoolBlocked, "a")
        assert (blocked.stream, blocked.error) == (kind.stream, "No space left on device")
        assert len(run.events(SpoolResumed, "a")) == 1
        assert not run.events(WorkerMismatch)
        assert run.spool("b") == b"after\n"


def test_a_journal_that_cannot_be_written_is_told_at_once_and_resumed_later(tmp_path: Path, state: Path) -> None:
    with running(tmp_path, writer("a", size=_LARGE, pause=0.002), task("b", "exec sleep 1000")) as run:
        run.wait_for(WorkerStarted, "b")
        ballast = _fill(state, leave=0)
        run.wait_until(lambda: "the journal cannot be written" in run.stderr)

        ballast.unlink()
        run.wait_for(JournalResumed)
        run.wait_for(WorkerExited, "a")
        callboard(tmp_path, "stop")
        run.finish(130)

        assert [record.seq for record in run.records()] == list(range(1, len(run.records()) + 1))
        assert has_line_numbers(run.spool("a")) and len(run.spool("a")) == _LARGE
        assert sum(event.length for event in run.events(WorkerOutput, "a")) == _LARGE
        assert "Traceback" not in run.stderr


def test_tasks_for_which_the_disk_has_no_room_start_when_it_has(tmp_path: Path, state: Path) -> None:
    ballast = _fill(state, leave=48 * _PAGE)  # enough to begin, too little for the files of all
    with running(tmp_path, *(task(f"t{number}", "echo out") for number in range(8))) as run:
        run.wait_until(lambda: "cannot be written" in run.stderr)

        ballast.unlink()
        run.finish()

        assert {run.spool(f"t{number}") for number in range(8)} == {b"out\n"}
        assert {each.status for each in run.report.tasks} == {"succeeded"}


def test_an_output_for_whose_copy_the_disk_has_no_room_is_taken_when_it_has(tmp_path: Path, state: Path) -> None:
    size = 1024 * 1024
    command = f"{UNTIL_GO}; (printf '\"'; head -c {size} /dev/zero | tr '\\0' x; printf '\"') > big.json"
    with running(tmp_path, task("a", command, output={"file": "big.json"})) as run:
        run.wait_for(WorkerStarted, "a")
        ballast = _fill(state, leave=size // 2)
        go(run)
        assert "cannot be copied" in run.wait_for(SpoolBlocked, "a").error

        ballast.unlink()
        run.finish()

        assert [event.bytes for event in run.events(TaskOutput)] == [size + 2]


def test_a_stop_ends_all_workers_while_the_disk_is_full(tmp_path: Path, state: Path) -> None:
    ballast = _fill(state, leave=2 * 1024 * 1024)
    with running(tmp_path, writer("a", size=_LARGE), task("b", "trap '' TERM; while :; do sleep 0.1; done")) as run:
        workers = [run.wait_for(WorkerStarted, name).pid for name in "ab"]
        _wait_until_full(run, "a")

        callboard(tmp_path, "stop", "--grace", "300ms", "--no-wait")
        run.wait_until(lambda: not any(map(is_alive, workers)))
        ballast.unlink()
        run.finish(130)

        assert {each.id: each.status for each in run.report.tasks} == {"a": "stopped", "b": "stopped"}
        assert has_line_numbers(run.spool("a"))
        assert 0 <= len(run.spool("a")) - acknowledged(run, "a") <= WRITE  # what was in the pipe came out too
        assert [event.outcome for event in run.events(RunEnded)] == ["interrupted"]


def test_a_run_can_be_left_while_the_disk_is_full_and_is_concluded_later(tmp_path: Path, state: Path) -> None:
    """Takes the seconds that the last records and the keeper are waited for."""
    ballast = _fill(state, leave=2 * 1024 * 1024)
    with running(tmp_path, writer("a", size=_LARGE)) as run:
        worker = run.wait_for(WorkerStarted, "a").pid
        _wait_until_full(run, "a")

        run.signal(signal.SIGINT)
        run.wait_until(lambda: not is_alive(worker))
        run.signal(signal.SIGTERM)
        run.signal(signal.SIGHUP)
        run.finish(130)
        assert "Traceback" not in run.stderr
        assert "left in haste" in run.stderr

        ballast.unlink()
        assert '"interrupted"' in callboard(tmp_path, "runs", "--json").stdout
        assert run.task("a").status == "stopped"
        assert has_line_numbers(run.spool("a"))


def test_a_run_that_cannot_begin_on_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, state: Path) -> None:
    (tmp_path / "plan.toml").write_text(task("a", "true"))
    for pages in (0, 1, 3, 6, 12):
        ballast = _fill(state, leave=pages * _PAGE)

        said = callboard(tmp_path, "run", "plan.toml", code=2)

        assert (said.stderr.startswith("error: ") and "disk" in said.stderr) or "No space left" in said.stderr
        assert str(state) in said.stderr
        assert find_fleets(state) == []
        assert {entry.name for entry in state.iterdir()} <= {".ballast", ".gitignore"}
        ballast.unlink()

    callboard(tmp_path, "run", "plan.toml")


def _make_newer(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as db:
        db.execute("PRAGMA user_version = 99")


def _make_foreign(journal: Path) -> None:
    journal.unlink()
    with closing(sqlite3.connect(journal)) as db:
        db.execute("CREATE TABLE holidays (day TEXT)")
        db.commit()


def _damage(journal: Path) -> None:
    journal.write_bytes(b"no journal at all" * 1000)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a plan was run to its end."""
    folder = tmp_path_factory.mktemp("ended")
    with running(folder, task("a", "echo out")) as run:
        run.finish()
    return folder


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_make_newer, "has format 99"),
        (_make_foreign, "is the database of another program"),
        (_damage, "no journal, or its first page is damaged"),
    ],
)
def test_a_journal_that_we_cannot_read_is_an_error_and_stays_as_it_is(
    tmp_path: Path, ended: Path, spoil: Callable[[Path], None], what: str
) -> None:
    shutil.copytree(ended, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
    (fleet,) = find_fleets(tmp_path / ".callboard")
    spoil(fleet.folder.journal)
    before = hashlib.sha256(fleet.folder.journal.read_bytes()).digest()

    for command in ("status", "events", "report"):
        said = callboard(tmp_path, command, code=2)
        assert said.stderr.startswith(f"error: journal {fleet.folder.journal}: ") and what in said.stderr
    logged = callboard(tmp_path, "logs", fleet.name, "a")
    assert logged.stdout == "out\n" and what in logged.stderr  # it takes no journal to read these
    assert fleet.name in callboard(tmp_path, "runs").stdout
    callboard(tmp_path, "run", "plan.toml")

    assert hashlib.sha256(fleet.folder.journal.read_bytes()).digest() == before
