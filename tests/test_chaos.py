"""Rounds of chaos, always the same ones; and what such a round finds where something is wrong."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.fleets import Fleet, find_fleets
from tests.chaos.checks import Losses, find_faults, find_lost
from tests.chaos.content import Content
from tests.chaos.ledgers import Said
from tests.chaos.rounds import Round
from tests.chaos.scripts import write_script
from tests.chaos.worker import CONTENT
from tests.running import running

ROUNDS = range(1, 16)
_QUIET = 0
"""The seed of a round in which nobody is struck."""


@pytest.mark.deadline(300)
@pytest.mark.parametrize("seed", ROUNDS)
def test_whatever_is_struck_nothing_is_lost_and_nothing_is_left(tmp_path: Path, seed: int) -> None:
    """As many seconds as a worker may take, and a few more: three in the middle."""
    played = Round(seed, tmp_path)

    faults = played.play()

    assert not faults, "\n".join([*played.story, *faults])


def test_the_rounds_differ_in_all_that_can_happen(tmp_path: Path) -> None:
    scripts = [write_script(seed, tmp_path) for seed in ROUNDS]

    kinds = {strike.kind for script in scripts for strike in script.strikes}
    assert {"kill supervisor", "kill keeper", "kill both", "freeze supervisor", "freeze keeper"} <= kinds
    assert {(script.durable, script.after) for script in scripts if script.strikes} >= {
        (True, "resume"),
        (False, "look"),
    }


@given(st.lists(st.integers(0, 5000), max_size=20))
def test_the_same_bytes_come_in_pieces_of_any_size(sizes: list[int]) -> None:
    pieces, whole = Content("seed"), Content("seed")

    assert b"".join(map(pieces.take, sizes)) == whole.take(sum(sizes))


@pytest.fixture(scope="module")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that came to its end without a fault."""
    folder = tmp_path_factory.mktemp("finished")
    ledgers = folder / "ledgers"
    ledgers.mkdir()
    script = write_script(_QUIET, ledgers)
    with running(folder, *script.plan, settings=script.settings) as run:
        run.process.wait()
    return folder


@pytest.fixture
def folder(_finished: Path) -> Iterator[Path]:
    """The same run to be spoilt."""
    kept = _finished.with_name("kept")
    shutil.copytree(_finished, kept)
    yield _finished
    shutil.rmtree(_finished)
    kept.rename(_finished)


def _faults(folder: Path, losses: Losses | None = None) -> list[str]:
    return find_faults(_fleet(folder), folder / "ledgers", losses or Losses())


def _fleet(folder: Path) -> Fleet:
    (fleet,) = find_fleets(folder / ".callboard")
    return fleet


def _largest_spool(folder: Path) -> Path:
    files = [path for path in (_fleet(folder).folder.root / "spool").rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def _change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(_fleet(folder).folder.journal)) as db, db:
        db.execute(statement)


def test_a_run_without_a_fault_has_none(folder: Path) -> None:
    assert _faults(folder) == []
    assert _largest_spool(folder).stat().st_size > 1000


def test_a_byte_that_is_missing_or_wrong_or_too_many_is_found(folder: Path) -> None:
    spool = _largest_spool(folder)
    data = spool.read_bytes()

    for spoilt in (data[:-1], data[:500] + b"#" + data[501:], data + b"#", data[:500] + data[501:]):
        spool.write_bytes(spoilt)
        assert any("bytes" in fault for fault in _faults(folder))


def test_bytes_may_be_missing_only_where_both_were_dead_and_no_more_than_a_pipe_holds() -> None:
    content = Content(CONTENT.format(seed="s", stream=1)).take(300_000)
    said = Said(least=300_000, most=300_000, sha=hashlib.sha256(content).hexdigest(), room=65536)

    def lost(count: int, *, lossy: bool) -> bool:
        return not list(find_lost("s", "stdout", content[: len(content) - count], said, lossy=lossy))

    assert [lost(count, lossy=True) for count in (0, 1, 65536, 65537)] == [True, True, True, False]
    assert [lost(count, lossy=False) for count in (0, 1)] == [True, False]


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        ("seq = 5", "holes"),
        ("type = 'run.ended'", "ended 0 times"),
        ("seq = (SELECT max(seq) FROM records WHERE type = 'worker.exited')", "0 ends"),
        ("seq = (SELECT max(seq) FROM records WHERE type = 'worker.output')", "records cover"),
        ("type = 'task.status_changed' AND CAST(body AS TEXT) NOT LIKE '%running%'", "is running"),
    ],
)
def test_a_record_that_is_missing_is_found(folder: Path, missing: str, what: str) -> None:
    _change(folder, f"DELETE FROM records WHERE {missing}")

    assert any(what in fault for fault in _faults(folder))


def test_a_process_that_is_left_behind_is_found_by_its_mark_and_by_its_own_note(folder: Path) -> None:
    identity = _fleet(folder).identity
    assert identity is not None
    marked = subprocess.Popen(
        ["sleep", "1000"], env={"CALLBOARD_MARK": f"{identity.fleet}/x", "PATH": os.environ["PATH"]}
    )
    noted = subprocess.Popen(["sleep", "1000"])
    ticks = Path(f"/proc/{noted.pid}/stat").read_text().split()[21]
    (folder / "ledgers/pids").write_text(f"{noted.pid} {ticks}\n")
    try:
        found = {fault for fault in _faults(folder) if fault.startswith("left behind")}
        assert {int(fault.split()[2]) for fault in found} == {marked.pid, noted.pid}
    finally:
        for process in (marked, noted):
            process.kill()
            process.wait()
