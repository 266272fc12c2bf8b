"""A stop reaches every worker, however it resists, and whatever happens in the same moment."""

import random
import signal
import time
from pathlib import Path

import pytest

from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import read_process
from protocols.events import (
    AttemptStarting,
    RunEnded,
    RunStopping,
    TaskStatusChanged,
    WorkerExited,
    WorkerMismatch,
    WorkerStarted,
    WorkerStopping,
)
from tests.running import RunningPlan, running, task

_WORKERS = 40
_STUBBORN = "trap '' TERM; echo up; while :; do sleep 1; done"


def _assert_each_attempt_ended_once(run: RunningPlan) -> None:
    starting, started, exited = (
        [(event.worker, event.attempt) for event in run.events(kind)]
        for kind in (AttemptStarting, WorkerStarted, WorkerExited)
    )
    assert sorted(exited) == sorted(starting)
    assert set(started) <= set(starting)
    assert len(set(exited)) == len(exited)


def test_a_worker_that_ignores_term_is_killed_after_its_grace(tmp_path: Path) -> None:
    with running(tmp_path, task("a", _STUBBORN, grace="100ms"), task("b", ["true"], needs=["a"])) as run:
        run.wait_for_output("a", b"up")
        run.signal(signal.SIGTERM)
        run.finish(130)

        (stopping,) = run.events(WorkerStopping)
        assert (stopping.reason, stopping.grace) == ("stop", 0.1)
        (exited,) = run.events(WorkerExited)
        assert (exited.reason, exited.signal) == ("stop", "SIGKILL")
        assert (run.task("a").status, run.task("a").reason) == ("stopped", "killed by SIGKILL")
        assert (run.task("b").status, run.task("b").reason) == ("stopped", "not started: the run was stopped")
        assert run.events(RunEnded)[0].outcome == "interrupted"


def test_a_second_signal_ends_the_grace(tmp_path: Path) -> None:
    with running(tmp_path, task("a", _STUBBORN, grace="1h")) as run:
        run.wait_for_output("a", b"up")
        run.signal(signal.SIGINT)
        run.wait_for(RunStopping)
        run.signal(signal.SIGINT)
        run.finish(130)

        assert [(event.reason, event.grace) for event in run.events(RunStopping)] == [
            ("SIGINT", 3600.0),
            ("SIGINT again", 0.0),
        ]
        assert run.attempt("a").signal == "SIGKILL"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_each_signal_stops_the_run_gracefully(tmp_path: Path, name: str) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.01; done"

    with running(tmp_path, task("a", script)) as run:
        run.wait_for_output("a", b"up")
        run.signal(signal.Signals[name])
        run.finish(130)

        assert run.events(RunStopping)[0].reason == name
        assert run.spool("a") == b"up\nbye\n"
        assert (run.task("a").status, run.task("a").reason) == ("stopped", "exit code 5")


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_end_in_the_moment_of_the_stop_end_once_each(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    scripts = [f"sleep {chance.uniform(0, 0.4):.3f}; echo {number}" for number in range(_WORKERS)]
    plan = [f"[defaults]\nconcurrency = {_WORKERS + 1}", task("last", ["sleep", "60"])]
    plan += [task(f"t{number}", script) for number, script in enumerate(scripts)]

    with running(tmp_path, *plan) as run:
        run.wait_for(WorkerExited, count=chance.randrange(1, _WORKERS // 2))
        run.signal(signal.SIGTERM)
        run.finish(130)

        _assert_each_attempt_ended_once(run)
        assert not run.events(WorkerMismatch)
        assert {event.reason for event in run.events(WorkerExited)} == {"exit", "stop"}
        assert {task.status for task in run.report.tasks} == {"succeeded", "stopped"}
        assert len(run.events(RunEnded)) == 1


def test_workers_stopped_while_they_start_end_once_each(tmp_path: Path) -> None:
    plan = ["[defaults]\nconcurrency = 200", *(task(f"t{number}", ["sleep", "60"]) for number in range(200))]

    with running(tmp_path, *plan) as run:
        run.wait_for(WorkerStarted)
        run.signal(signal.SIGTERM)
        run.finish(130)

        _assert_each_attempt_ended_once(run)
        assert {task.status for task in run.report.tasks} == {"stopped"}


def test_a_stop_ends_the_wait_for_a_retry(tmp_path: Path) -> None:
    with running(tmp_path, task("a", ["false"], retries=5, backoff="1h")) as run:
        run.wait_until(lambda: "retrying" in {event.status for event in run.events(TaskStatusChanged)})
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert run.task("a").status == "stopped"
        assert len(run.events(WorkerExited)) == 1


def test_a_signal_to_all_processes_at_once_is_a_stop(tmp_path: Path) -> None:
    with running(tmp_path, task("a", ["sleep", "60"], retries=3), task("b", ["true"], needs=["a"])) as run:
        worker = read_process(run.wait_for(WorkerStarted, "a").pid)
        assert worker is not None
        run.signal(signal.SIGTERM)
        send_signal(worker, signal.SIGTERM)  # unless the stop was faster
        run.finish(130)

        assert [each.status for each in run.report.tasks] == ["stopped", "stopped"]
        assert len(run.events(WorkerExited)) == 1


def test_a_run_that_is_suspended_and_continued_changes_nothing_for_its_workers(tmp_path: Path) -> None:
    script = "while [ ! -e go ]; do sleep 0.005; done; seq 20000"

    with running(tmp_path, task("a", script), task("b", "echo b", needs=["a"])) as run:
        run.wait_for(WorkerStarted, "a")
        run.signal(signal.SIGSTOP)
        (tmp_path / "go").touch()
        run.wait_for_output("a", b"\n20000\n")
        time.sleep(0.1)
        run.signal(signal.SIGCONT)
        run.finish()

        assert run.attempt("a").stdout.lines == 20000
        assert not run.events(WorkerMismatch)
