"""Runs that are gone on with, whatever has become of their ledger."""

import sqlite3
from contextlib import closing
from pathlib import Path

from protocols.events import RunEnded, TaskStatusChanged, WorkerStarted
from tests.detached import kill
from tests.running import RunningPlan, callboard, resumed, running, task

_PLAN = (
    task("a", "echo a >> log"),
    task("b", "test -e go || exec sleep 1000; echo b >> log", needs=["a"]),
    task("c", "echo c >> log", needs=["b"]),
)


def _kill_in_the_middle(run: RunningPlan) -> None:
    run.wait_for(WorkerStarted, "b")
    kill(run)
    (run.cwd / "go").touch()


def test_a_run_whose_ledger_is_gone_goes_on_by_its_journal(tmp_path: Path) -> None:
    with running(tmp_path, *_PLAN) as run:
        _kill_in_the_middle(run)
        for path in run.folder.root.glob("ledger.sqlite3*"):
            path.unlink()

        with resumed(tmp_path) as again:
            again.finish()

            assert (tmp_path / "log").read_text().split() == ["a", "b", "c"]
            assert [event.status for event in again.events(TaskStatusChanged, "a")] == ["running", "succeeded"]
            assert [event.outcome for event in again.events(RunEnded)] == ["succeeded"]


def test_a_run_with_the_ledger_of_a_newer_version_is_left_as_it_is(tmp_path: Path) -> None:
    with running(tmp_path, *_PLAN) as run:
        _kill_in_the_middle(run)
        with closing(sqlite3.connect(run.folder.ledger)) as db:
            db.execute("PRAGMA user_version = 99")

        said = callboard(tmp_path, "resume", code=2)

        assert said.stderr.startswith(f"error: ledger {run.folder.ledger}: has format 99, this version")
        assert run.folder.journal.exists() and not run.events(RunEnded)
        callboard(tmp_path, "runs")  # what can be told without it is told
        assert [event.outcome for event in run.events(RunEnded)] == ["interrupted"]
