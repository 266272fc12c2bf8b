"""Callboard is killed: its workers end, their output stays, and the next callboard tells what became of them."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from actors.journal_file import read_records
from actors.keeper_process.marks import find_marked
from actors.keeper_process.procfs import read_process
from protocols.events import Event, RunEnded, WorkerExited, WorkerOutput, WorkerStarted
from protocols.fleet_events import FleetSwept, KeeperStarted
from supervisor.fleets import Fleet, find_fleets
from supervisor.state import open_state
from tests.keeper_client import wait_until_gone
from tests.made_fleets import make_fleet, run_started, started, starting, status
from tests.process_trees import wait_until
from tests.running import CALLBOARD, RunningPlan, callboard, python, running, task
from tests.writers import WHO, WRITE, acknowledged, has_line_numbers, living, writer

_STAYS = f"{WHO}; exec sleep 1000"
_TREE = f"""
trap '' TERM
{WHO}
setsid sh -c '{_STAYS}' &
env -i PIDS="$PIDS" PATH="$PATH" setsid sh -c 'trap "" TERM; {_STAYS}' &
(setsid sh -c 'trap "" TERM; {WHO}; while :; do sleep 0.1; done' &)
while :; do sleep 0.1; done
"""


def _tree(name: str, tmp_path: Path) -> str:
    """A worker and three processes that left it; only one of the four listens to TERM."""
    return task(name, _TREE, env={"PIDS": str(tmp_path / "pids")})


def _wait_for_tree(run: RunningPlan) -> None:
    run.wait_until(lambda: len(living(run.cwd / "pids")) == 4)


def _kill(run: RunningPlan) -> None:
    run.signal(signal.SIGKILL)
    run.process.wait()


def _integrity(run: RunningPlan) -> str:
    with closing(sqlite3.connect(run.folder.journal)) as db:
        (answer,) = db.execute("PRAGMA integrity_check").fetchone()
        return str(answer)


def test_when_callboard_is_killed_no_worker_lives_two_seconds_later(tmp_path: Path) -> None:
    with running(tmp_path, _tree("a", tmp_path), task("b", "trap '' TERM; sleep 1000; sleep 1000")) as run:
        _wait_for_tree(run)
        run.wait_for(WorkerStarted, "b")

        _kill(run)
        killed_at = time.monotonic()

        fleet = run.fleet.identity
        assert fleet is not None
        wait_until(lambda: not living(tmp_path / "pids") and not find_marked(fleet.fleet))
        wait_until(lambda: not run.fleet.keeper_lives())
        print(f"nothing lived {time.monotonic() - killed_at:.2f} s after the kill")


def test_when_callboard_is_killed_every_byte_of_a_completed_write_is_in_the_spool(tmp_path: Path) -> None:
    with running(tmp_path, *(writer(name, pause=0.001) for name in "abc")) as run:
        run.wait_until(lambda: all(acknowledged(run, name) > 30 * WRITE for name in "abc"))

        _kill(run)
        wait_until(lambda: not run.fleet.keeper_lives())

        for name in "abc":
            spool = run.spool(name)
            assert acknowledged(run, name) <= len(spool) <= acknowledged(run, name) + WRITE
            assert has_line_numbers(spool)


def test_after_a_kill_the_journal_is_whole_and_the_next_look_tells_the_truth(tmp_path: Path) -> None:
    plan = (
        task("done", "echo fine"),
        task("broken", "echo bad >&2; exit 3"),
        writer("busy", pause=0.01),
        task("stubborn", "trap '' TERM; echo on; while :; do sleep 0.1; done"),
        task("later", "true", needs=["busy"]),
    )
    with running(tmp_path, *plan) as run:
        run.wait_for(WorkerExited, "done")
        run.wait_for(WorkerExited, "broken")
        run.wait_for(WorkerOutput, "busy", count=3)
        run.wait_for_output("stubborn", b"on\n")

        _kill(run)
        assert _integrity(run) == "ok"
        (listed,) = callboard(tmp_path, "runs", "--json").stdout.splitlines()

        assert json.loads(listed)["status"] == "interrupted"
        ends = {
            each.id: (each.status, [(a.code, a.signal, a.reason) for a in each.attempts]) for each in run.report.tasks
        }
        assert ends == {
            "done": ("succeeded", [(0, None, "exit")]),
            "broken": ("failed", [(3, None, "exit")]),
            "busy": ("stopped", [(None, "SIGTERM", "orphaned")]),
            "stubborn": ("stopped", [(None, "SIGKILL", "orphaned")]),
            "later": ("stopped", []),
        }
        assert run.attempt("busy").stdout.bytes == len(run.spool("busy"))
        covered = [event for event in run.events(WorkerOutput, "busy") if event.stream == "stdout"]
        assert sum(event.length for event in covered) == len(run.spool("busy"))
        assert callboard(tmp_path, "logs", run.fleet.name, "stubborn").stdout == "on\n"


@pytest.mark.parametrize("command", ["runs", "status", "report", "run"])
def test_the_end_of_a_killed_run_is_written_once_whoever_looks_first(tmp_path: Path, command: str) -> None:
    with running(tmp_path, python("a", "import time; time.sleep(1000)")) as run:
        run.wait_for(WorkerStarted, "a")
        run_id = run.fleet.name
        _kill(run)
        (tmp_path / "short.toml").write_text(task("b", "true"))

        said = [callboard(tmp_path, *([command, "short.toml"] if command == "run" else [command])).stdout for _ in "12"]

        (killed,) = [fleet for fleet in find_fleets(tmp_path / ".callboard") if fleet.name == run_id]
        assert [end.outcome for end in _ends(killed)] == ["interrupted"]
        assert command == "run" or "interrupted" in said[0]


def test_callboard_and_keeper_killed_at_once_the_next_look_ends_all_that_is_left(tmp_path: Path) -> None:
    with running(tmp_path, _tree("a", tmp_path), writer("b", pause=0.01)) as run:
        _wait_for_tree(run)
        run.wait_until(lambda: acknowledged(run, "b") > 10 * WRITE)
        keeper = run.wait_for(KeeperStarted).pid

        run.signal(signal.SIGSTOP)  # else it would start another keeper
        os.kill(keeper, signal.SIGKILL)
        wait_until_gone(keeper)
        _kill(run)
        left = living(tmp_path / "pids")
        (listed,) = callboard(tmp_path, "runs", "--json").stdout.splitlines()

        assert len(left) == 4
        assert not living(tmp_path / "pids")
        assert json.loads(listed)["status"] == "interrupted"
        (swept,) = run.events(FleetSwept)
        assert {int(each.split()[0]) for each in swept.processes} >= set(left)
        assert run.attempt("a").reason == "lost"
        assert has_line_numbers(run.spool("b"))
        assert acknowledged(run, "b") - len(run.spool("b")) <= 64 * 1024  # a pipe that nobody reads any more is lost


def test_an_exit_that_the_killed_keeper_wrote_down_is_told_by_the_next_callboard(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "setsid sleep 1000 & exit 7"), settings='[stop]\nlinger = "1h"\n') as run:
        run.wait_for(WorkerStarted, "a")
        keeper = run.wait_for(KeeperStarted).pid
        run.wait_until(lambda: b'"exited"' in _status_file(run))

        run.signal(signal.SIGSTOP)
        os.kill(keeper, signal.SIGKILL)
        wait_until_gone(keeper)
        _kill(run)
        callboard(tmp_path, "runs")

        assert (run.attempt("a").code, run.attempt("a").reason) == (7, "exit")


def test_a_run_in_a_worker_goes_with_the_run_around_it(tmp_path: Path) -> None:
    (tmp_path / "inner.toml").write_text(_tree("b", tmp_path))
    inner = ["callboard", "run", "inner.toml", "--state", "inner"]
    with running(tmp_path, task("a", inner), env=_with_our_command()) as run:
        run.wait_until(lambda: len(living(tmp_path / "pids")) == 4)
        outer_fleet = run.fleet.identity
        assert outer_fleet is not None

        _kill(run)

        wait_until(lambda: not living(tmp_path / "pids") and not find_marked(outer_fleet.fleet))
        assert "interrupted" in callboard(tmp_path, "runs", "--state", "inner").stdout


def test_a_run_in_a_worker_that_is_killed_leaves_nothing_of_its_own_fleet(tmp_path: Path) -> None:
    (tmp_path / "inner.toml").write_text(_tree("b", tmp_path))
    inner = ["callboard", "run", "inner.toml", "--state", "inner"]
    with running(tmp_path, task("a", inner), env=_with_our_command()) as run:
        run.wait_until(lambda: len(living(tmp_path / "pids")) == 4)

        os.kill(run.wait_for(WorkerStarted, "a").pid, signal.SIGKILL)

        run.finish(1)
        assert not living(tmp_path / "pids")
        assert run.attempt("a").signal == "SIGKILL"
        assert "interrupted" in callboard(tmp_path, "runs", "--state", "inner").stdout


def test_nothing_is_ended_for_having_the_pid_of_a_worker(tmp_path: Path) -> None:
    differences: dict[str, dict[str, object]] = {
        "start": {"start_ticks": 1},
        "boot": {"boot_id": "another"},
        "container": {"pid_namespace": 1},
    }
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        process = read_process(bystander.pid)
        assert process is not None
        events: list[Event] = [run_started(*differences)]
        for name, difference in differences.items():
            there = started(name, pid=process.pid, start_ticks=process.start_ticks)
            events += [status(name, "running"), starting(name), msgspec.structs.replace(there, **difference)]
        fleet = make_fleet(open_state(tmp_path / ".callboard"), events)

        callboard(tmp_path, "runs")

        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    assert [end.outcome for end in _ends(fleet)] == ["interrupted"]


def _ends(fleet: Fleet) -> list[RunEnded]:
    events = [record.event for record in read_records(fleet.folder.journal)]
    return [event for event in events if isinstance(event, RunEnded)]


def _status_file(run: RunningPlan) -> bytes:
    (path,) = (run.folder.root / "status").iterdir()
    return path.read_bytes()


def _with_our_command() -> dict[str, str]:
    return {"PATH": f"{CALLBOARD.parent}:{os.environ['PATH']}"}
