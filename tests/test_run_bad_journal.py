"""A journal that tells nothing any more: every command says so and changes nothing, and the output can be read."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from protocols.layout import FleetFolder
from supervisor.fleets import find_fleets
from tests.running import callboard, python, running

PLAN = python("a", "print('first'); print('second')"), python("b", "import sys; sys.stderr.write('oops')")


def _newer(journal: Path) -> None:
    _execute(journal, "PRAGMA user_version = 2")


def _foreign(journal: Path) -> None:
    _execute(journal, "PRAGMA application_id = 5")


def _future_record(journal: Path) -> None:
    _execute(journal, """UPDATE records SET body = CAST('{"type":"x","at":1}' AS BLOB) WHERE seq = 5""")


def _execute(journal: Path, statement: str) -> None:
    with closing(sqlite3.connect(journal)) as db:
        db.execute(statement)
        db.commit()


def _damaged(journal: Path) -> None:
    with journal.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * 8192)


def _cut(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:6000])


def _empty(journal: Path) -> None:
    journal.write_bytes(b"")


def _missing(journal: Path) -> None:
    journal.unlink()


_KINDS: dict[Callable[[Path], None], str] = {
    _newer: "has format 2, this version of callboard knows 1; use the version that wrote it, or another state folder",
    _foreign: "is the database of another program; move it away",
    _damaged: "malformed; move it away, or save what is left with: sqlite3 FILE .recover",
    _cut: "malformed; move it away, or save what is left with: sqlite3 FILE .recover",
    _empty: "is empty; move it away",
    _missing: "is gone; put it back, or read what is left beside it",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a plan was run to its end."""
    folder = tmp_path_factory.mktemp("ended")
    with running(folder, *PLAN) as run:
        run.finish()
    return folder


def _copy(ended: Path, to: Path) -> FleetFolder:
    shutil.copytree(ended, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
    (fleet,) = find_fleets(to / ".callboard")
    return fleet.folder


def _files(root: Path) -> dict[str, bytes]:
    """All that was kept, but for what SQLite makes and removes when it reads."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.mark.parametrize("spoil", _KINDS, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_journal_that_cannot_be_read_is_an_error_and_nothing_is_lost(
    tmp_path: Path, ended: Path, spoil: Callable[[Path], None]
) -> None:
    folder = _copy(ended, tmp_path)
    spoil(folder.journal)
    before, run = _files(folder.root), folder.root.name

    for command in ("status", "report", "events"):
        said = callboard(tmp_path, command, run, code=2).stderr
        assert said.startswith(f"error: journal {folder.journal}: ") and said.endswith(f"{_KINDS[spoil]}\n")
        assert said.count("\n") == 1
    listed = callboard(tmp_path, "runs").stdout.splitlines()
    assert listed[1].split()[:2] == [run, "damaged"]
    assert listed[2].startswith(f"{run}: journal ") and listed[2].endswith(_KINDS[spoil])
    assert f"kept {run}: journal" in callboard(tmp_path, "prune", "--keep-runs", "0").stdout
    logged = callboard(tmp_path, "logs", run, "a")
    assert logged.stdout == "first\nsecond\n"
    assert logged.stderr.startswith("warning: journal ")

    assert _files(folder.root) == before


def test_a_record_of_a_newer_version_is_told_with_its_number(tmp_path: Path, ended: Path) -> None:
    folder = _copy(ended, tmp_path)
    _future_record(folder.journal)

    said = callboard(tmp_path, "status", code=2).stderr

    assert "record 5 (" in said and "is not known to this version" in said
    assert said.endswith("; read it with the version of callboard that wrote it\n")
    assert callboard(tmp_path, "logs", folder.root.name, "b", "--stderr", "--range", "1:2").stdout == "op"
    assert len(callboard(tmp_path, "events", "--json", code=2).stdout.splitlines()) == 4


def test_a_journal_that_cannot_be_read_stops_no_other_run(tmp_path: Path, ended: Path) -> None:
    folder = _copy(ended, tmp_path)
    _newer(folder.journal)

    with running(tmp_path, *PLAN) as run:
        run.finish()
        assert run.stderr.startswith(f"warning: {folder.root.name}: cannot be concluded: journal ")

    statuses = [line.split()[1] for line in callboard(tmp_path, "runs").stdout.splitlines()[1:3]]
    assert statuses == ["succeeded", "damaged"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("aa",), 'task "aa": FOLDER has no output of it; did you mean "a"?'),
        (("zzz",), 'task "zzz": FOLDER has no output of it; it has a, b'),
        (("../spool/a",), 'task "../spool/a": FOLDER has no output of it; it has a, b'),
        (("a", "--attempt", "2"), 'task "a": FOLDER has no output of attempt 2; it has 1'),
    ],
)
def test_output_that_is_not_there_is_no_empty_output(
    tmp_path: Path, ended: Path, arguments: tuple[str, ...], what: str
) -> None:
    folder = _copy(ended, tmp_path)
    _newer(folder.journal)

    said = callboard(tmp_path, "logs", folder.root.name, *arguments, code=2)

    assert said.stdout == ""
    assert said.stderr == f"error: {what.replace('FOLDER', str(folder.root / 'spool'))}\n"


def test_without_its_identity_a_run_is_listed_as_damaged_and_can_be_read(tmp_path: Path, ended: Path) -> None:
    folder = _copy(ended, tmp_path)
    folder.identity.write_text("{")
    run = folder.root.name

    listed = callboard(tmp_path, "runs").stdout.splitlines()

    assert listed[1].split()[:2] == [run, "damaged"]
    assert listed[2].startswith(f"{run}: fleet.json: ")
    assert callboard(tmp_path, "logs", run, "a").stdout == "first\nsecond\n"
    assert f"run {run} of plan.toml: succeeded" in callboard(tmp_path, "status").stdout
    assert "run.ended" in callboard(tmp_path, "events").stdout
    damaged = f'error: run "{run}": damaged: fleet.json: '
    assert callboard(tmp_path, "report", code=2).stderr.startswith(damaged)
