"""A run whose callboard is gone: what is told of it, who may take it up, and how it is ended."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from protocols.events import RunEnded, RunResumed, RunStopping, WorkerExited, WorkerStarted
from protocols.fleet_events import KeeperStarted
from tests.detached import DURABLE, UNTIL_GO, go, kill
from tests.keeper_client import is_alive, wait_until_gone
from tests.process_trees import wait_until
from tests.running import CALLBOARD, callboard, running, task


@pytest.mark.parametrize("frozen", [False, True])
def test_a_run_whose_supervisor_lives_is_not_taken_from_it(tmp_path: Path, frozen: bool) -> None:
    with running(tmp_path, task("a", "exec sleep 1000"), options=DURABLE) as run:
        pid = run.wait_for(WorkerStarted, "a").pid
        if frozen:
            run.signal(signal.SIGSTOP)
        before = run.folder.identity.read_bytes()

        said = callboard(tmp_path, "resume", code=2).stderr
        examined = callboard(tmp_path, "doctor").stdout

        assert str(run.process.pid) in said
        assert (f"its supervisor (pid {run.process.pid}) is stopped" in examined) is frozen
        assert ("kill -CONT" in said) is frozen
        assert run.folder.identity.read_bytes() == before
        assert is_alive(pid)
        run.signal(signal.SIGCONT)
        run.signal(signal.SIGTERM)
        run.finish(130)


def test_a_run_that_has_ended_cannot_be_resumed(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "true"), options=DURABLE) as run:
        run.finish()

        assert "has ended" in callboard(tmp_path, "resume", code=2).stderr


def test_a_detached_run_is_told_as_such_and_left_alone_by_every_look(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "exec sleep 1000"), task("b", UNTIL_GO), options=DURABLE) as run:
        pids = [run.wait_for(WorkerStarted, name).pid for name in "ab"]
        kill(run)
        go(run)
        wait_until(lambda: not is_alive(pids[1]))
        (tmp_path / "other.toml").write_text(task("x", "true"))

        callboard(tmp_path, "run", "other.toml")
        listed = [json.loads(line) for line in callboard(tmp_path, "runs", "--json").stdout.splitlines()]
        status = callboard(tmp_path, "status", run.fleet.name).stdout
        callboard(tmp_path, "prune", "--keep-runs", "0")
        examined = callboard(tmp_path, "doctor").stdout

        assert [each["status"] for each in listed] == ["succeeded", "detached"]
        assert f"callboard resume {run.fleet.name}" in status
        assert "it has ended meanwhile" in status
        assert f"callboard resume {run.fleet.name}" in examined
        assert is_alive(pids[0])
        assert run.folder.identity.exists()


def test_a_detached_run_can_be_stopped_each_worker_as_its_task_says(tmp_path: Path) -> None:
    trapped = "trap 'echo term; exit 4' TERM; echo on; while :; do sleep 0.01; done"
    with running(tmp_path, task("a", trapped, grace="10s"), task("b", "true", needs=["a"]), options=DURABLE) as run:
        run.wait_for_output("a", b"on\n")
        kill(run)

        said = callboard(tmp_path, "stop").stdout

        assert "has ended" in said
        assert run.spool("a") == b"on\nterm\n"
        (exited,) = run.events(WorkerExited)
        assert (exited.code, exited.reason) == (4, "stop")
        assert run.events(RunEnded)[0].outcome == "interrupted"
        assert not run.fleet.keeper_lives()


def test_what_is_missing_for_tasks_to_come_is_told_before_anything_changes(tmp_path: Path) -> None:
    for name, script in (("done", "true"), ("open", "exec sleep 1000"), ("pending", "true")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    plan = task("a", ["./done"]), task("b", ["./open"], needs=["a"]), task("c", ["./pending"], needs=["b"])
    with running(tmp_path, *plan, options=DURABLE) as run:
        pid = run.wait_for(WorkerStarted, "b").pid
        kill(run)
        for name in ("done", "open", "pending"):
            (tmp_path / name).unlink()
        before = run.folder.identity.read_bytes()

        said = callboard(tmp_path, "resume", code=2).stderr

        assert "pending" in said
        assert not [name for name in ("done", "open") if f"./{name}" in said]
        assert run.folder.identity.read_bytes() == before
        assert is_alive(pid)
        callboard(tmp_path, "stop")
        assert not is_alive(pid)
        assert run.events(WorkerExited, "b")[0].reason == "stop"


def test_a_stopped_keeper_loses_nobody(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "exec sleep 1000"), options=DURABLE) as run:
        pid = run.wait_for(WorkerStarted, "a").pid
        keeper = run.wait_for(KeeperStarted).pid
        kill(run)
        os.kill(keeper, signal.SIGSTOP)

        said = callboard(tmp_path, "resume", code=2).stderr
        os.kill(keeper, signal.SIGCONT)

        assert f"kill -CONT {keeper}" in said
        assert is_alive(pid) and is_alive(keeper)
        callboard(tmp_path, "stop")
        assert not is_alive(pid)


def test_a_keeper_that_cannot_be_reached_loses_nobody(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "exec sleep 1000"), options=DURABLE) as run:
        pid = run.wait_for(WorkerStarted, "a").pid
        keeper = run.wait_for(KeeperStarted).pid
        kill(run)
        run.folder.keeper_socket.unlink()

        said = callboard(tmp_path, "resume", code=2).stderr

        assert f"kill -9 {keeper}" in said
        assert is_alive(pid) and is_alive(keeper)
        os.kill(keeper, signal.SIGKILL)
        wait_until_gone(keeper)
        callboard(tmp_path, "stop")
        assert not is_alive(pid)


def test_of_many_that_want_to_go_on_with_a_run_one_does(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"{UNTIL_GO}"), options=DURABLE) as run:
        run.wait_for(WorkerStarted, "a")
        kill(run)
        go(run)
        resuming = [subprocess.Popen([CALLBOARD, "resume"], cwd=tmp_path, stderr=subprocess.PIPE) for _ in "1234"]
        said = [process.communicate()[1].decode() for process in resuming]

        assert sorted(process.returncode for process in resuming) == [0, 2, 2, 2]
        assert all("its supervisor lives" in text or "it has ended" in text for text in said if text)
        assert [len(run.events(kind)) for kind in (RunResumed, RunEnded)] == [1, 1]


def test_a_stop_of_a_detached_run_is_as_urgent_as_it_is_asked_for(tmp_path: Path) -> None:
    trapped = "trap 'echo term' TERM; echo on; while :; do sleep 0.01; done"
    with running(tmp_path, task("a", trapped, grace="1h"), options=DURABLE) as run:
        run.wait_for_output("a", b"on\n")
        kill(run)

        refused = callboard(tmp_path, "stop", "--no-wait", code=2).stderr
        callboard(tmp_path, "stop", "--force")

        assert "leave that out" in refused
        assert run.spool("a") == b"on\n"
        assert run.events(WorkerExited)[0].signal == "SIGKILL"


def test_leaving_in_haste_leaves_durable_workers_to_their_keeper(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "exec sleep 1000"), options=DURABLE) as run:
        pid = run.wait_for(WorkerStarted, "a").pid
        keeper = run.wait_for(KeeperStarted).pid
        os.kill(keeper, signal.SIGSTOP)  # so that no stop can be finished
        for count in (1, 2):
            run.signal(signal.SIGINT)
            run.wait_for(RunStopping, count=count)
        run.signal(signal.SIGINT)
        run.wait()

        assert is_alive(keeper)
        assert json.loads(callboard(tmp_path, "runs", "--json").stdout)["status"] == "detached"
        os.kill(keeper, signal.SIGCONT)
        wait_until(lambda: not is_alive(pid))  # the stop was on its way
        callboard(tmp_path, "stop")


def test_who_follows_a_detached_run_is_told_what_it_is(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "echo on; exec sleep 1000"), options=DURABLE) as run:
        run.wait_for_output("a", b"on\n")
        kill(run)

        looks = [
            callboard(tmp_path, *command, code=code).stderr
            for command, code in [
                (("logs", run.fleet.name, "a", "--follow"), 0),
                (("events", "--follow"), 0),
                (("watch-run", "--output", "plain"), 130),
            ]
        ]

        assert [f"callboard resume {run.fleet.name}" in said for said in looks] == [True] * 3
        callboard(tmp_path, "stop")
