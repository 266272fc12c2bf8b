import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from protocols.events import RunStopping
from protocols.ids import RunId
from supervisor.fleets import create_fleet, find_fleet
from supervisor.listing import RunSummary, list_runs, render_runs
from supervisor.locks import hold_lock
from supervisor.state import open_state
from tests.made_fleets import AT, add_records, make_fleet, run_ended, run_started, status


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return open_state(tmp_path / ".callboard")


def test_where_nothing_ran_nothing_is_listed(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []


def test_a_run_that_ended_is_told_by_its_last_record(state: Path) -> None:
    fleet = make_fleet(state, [run_started("a", "b"), run_ended(succeeded=1, failed=1)])

    assert list_runs(state) == [
        RunSummary(
            run=fleet.name,
            status="failed",
            plan="plan.toml",
            started_at=AT,
            ended_at=AT + 3,
            counts={"succeeded": 1, "failed": 1},
        )
    ]


def test_a_killed_run_is_interrupted(state: Path) -> None:
    make_fleet(state, [run_started("a", "b"), status("a", "succeeded"), status("b", "running")])

    [run] = list_runs(state)

    assert (run.status, run.counts, run.problem) == ("interrupted", {"succeeded": 1, "stopped": 1}, "")


@pytest.mark.parametrize("empty", [True, False])
def test_a_run_killed_right_after_its_start_is_interrupted(state: Path, empty: bool) -> None:
    make_fleet(state, () if empty else None)

    [run] = list_runs(state)

    assert (run.status, run.counts) == ("interrupted", {})


def test_a_living_run_is_running_until_somebody_stops_it(state: Path) -> None:
    with create_fleet(state, plan="p", cwd="/", version="1") as made:
        assert [run.status for run in list_runs(state)] == ["running"]

        fleet = find_fleet(state, made.identity.run)
        add_records(fleet, [run_started("a", "b"), status("a", "running")])
        [run] = list_runs(state)
        assert (run.status, run.ended_at, run.counts) == ("running", None, {"running": 1, "pending": 1})

        add_records(fleet, [RunStopping(at=AT, reason="Ctrl-C", grace=10)])
        assert [run.status for run in list_runs(state)] == ["stopping"]


def test_a_run_whose_end_cannot_be_recorded_is_interrupted_all_the_same(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.sweep._SWEEPER_PATIENCE", 0.02)
    fleet = make_fleet(state, [run_started("a")])

    with hold_lock(fleet.folder.lock):  # another callboard is at it, and takes long
        [run] = list_runs(state)

    assert (run.status, run.problem) == ("interrupted", "its end could not be recorded")


def test_what_is_damaged_is_listed_among_the_others(state: Path) -> None:
    whole = make_fleet(state, [run_started("a"), run_ended(succeeded=1)], at=4.0)
    newer = make_fleet(state, [run_started("a")], at=3.0)
    with closing(sqlite3.connect(newer.folder.journal)) as db:
        db.execute("PRAGMA user_version = 99")
    broken = make_fleet(state, None, at=2.0)
    broken.folder.journal.write_bytes(b"no database" * 1000)
    torn = make_fleet(state, None, at=1.0)
    torn.folder.identity.write_bytes(b"{")
    (state / "notesabc").mkdir()
    (state / "notes").mkdir()

    found = {run.run: run for run in list_runs(state)}

    assert found[whole.name].status == "succeeded"
    assert found[newer.name].status == "damaged" and "format 99" in found[newer.name].problem
    assert found[broken.name].status == "damaged" and "journal" in found[broken.name].problem
    assert found[torn.name].status == "damaged" and found[torn.name].problem.startswith("fleet.json: ")
    assert (found["notesabc"].status, found["notesabc"].problem) == ("damaged", "fleet.json is missing")  # type: ignore[index]
    assert "notes" not in found


def test_a_run_is_a_line_that_fits_the_terminal_and_a_problem_a_line_below(state: Path) -> None:
    runs = [
        RunSummary(run=RunId("aaaaaaaa"), status="running", plan="p.toml", started_at=AT, counts={"running": 1}),
        RunSummary(run=RunId("bbbbbbbb"), status="damaged", started_at=AT, problem="fleet.json is missing"),
        RunSummary(run=RunId("cccccccc"), status="failed", started_at=AT, ended_at=AT + 90, counts={"failed": 2}),
    ]

    titles, *lines, problem = render_runs(runs, AT + 2.5, None).splitlines()
    narrow = render_runs(runs, AT + 2.5, 50).splitlines()

    assert titles.split() == ["run", "status", "started", "time", "tasks", "plan"]
    assert [line.split()[4:] for line in lines] == [["2.5s", "1", "running", "p.toml"], [], ["1m30s", "2", "failed"]]
    assert problem == "bbbbbbbb: fleet.json is missing"
    assert narrow[0].split() == ["run", "status", "time", "tasks", "plan"]
    assert all(len(line) <= 50 for line in narrow)


def test_a_run_began_when_its_first_record_says_so(state: Path) -> None:
    make_fleet(state, [run_started("a"), run_ended(succeeded=1)], at=AT - 0.4)

    assert [run.started_at for run in list_runs(state)] == [AT]
