"""Callboard is killed and another one goes on with the run: workers are adopted, nothing is done or told twice."""

import json
import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from protocols.adoption_events import WorkerAdopted
from protocols.events import (
    AttemptStarting,
    RunEnded,
    RunResumed,
    RunStarted,
    RunStopping,
    TaskStatusChanged,
    WorkerExited,
    WorkerMismatch,
    WorkerOutput,
    WorkerStarted,
)
from protocols.fleet_events import KeeperLost
from tests.detached import DURABLE, UNTIL_GO, covered, go, kill, kill_keeper, statuses
from tests.keeper_client import is_alive
from tests.process_trees import wait_until
from tests.running import RunningPlan, python, resumed, running, task
from tests.sources import KINDS, Kind
from tests.writers import WRITE, acknowledged, has_line_numbers, writer


def test_a_killed_run_goes_on_where_it_was_and_does_nothing_twice(tmp_path: Path) -> None:
    plan = (
        task("done", "echo done >> log"),
        task("goes-on", f"echo begun >> log; {UNTIL_GO}; echo later", needs=["done"]),
        task("fails", "exit 3"),
        task("never", "echo never >> log", needs=["fails"]),
        task("after", "echo after >> log", needs=["goes-on"]),
    )
    with running(tmp_path, *plan, options=DURABLE) as run:
        started = run.wait_for(WorkerStarted, "goes-on")
        run.wait_until(lambda: any(e.status == "skipped" for e in run.events(TaskStatusChanged, "never")))
        kill(run)
        assert is_alive(started.pid)

        with resumed(tmp_path) as again:
            again.wait_for(WorkerAdopted, "goes-on")
            go(run)
            again.finish(1)

            assert (tmp_path / "log").read_text().split() == ["done", "begun", "after"]
            assert statuses(again) == {
                "done": "succeeded",
                "goes-on": "succeeded",
                "fails": "failed",
                "never": "skipped",
                "after": "succeeded",
            }
            assert again.spool("goes-on") == b"later\n"
            assert [len(again.events(kind)) for kind in (RunStarted, RunResumed, RunEnded)] == [1, 1, 1]
            assert len(again.events(AttemptStarting)) == len(again.events(WorkerExited)) == 4
            assert [e.status for e in again.events(TaskStatusChanged, "never")] == ["skipped"]
            assert [record.seq for record in again.records()] == list(range(1, len(again.records()) + 1))
            assert is_alive(started.pid) is False


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.kept], ids=lambda kind: kind.name)
def test_output_is_read_on_from_the_byte_where_the_journal_stopped(tmp_path: Path, kind: Kind) -> None:
    size = 8 * 1024 * 1024
    with running(tmp_path, *(kind.writer(name, size=size) for name in "ab"), options=DURABLE) as run:
        run.wait_until(lambda: all(kind.covered(run, name) > 0 for name in "ab"))
        kill(run)

        with resumed(tmp_path) as again:
            again.finish()

            for name in "ab":
                assert has_line_numbers(kind.spool(again, name))
                assert kind.covered(again, name) == len(kind.spool(again, name)) == size
            assert not again.events(WorkerMismatch)


def test_a_run_that_is_killed_again_and_again_comes_to_its_end(tmp_path: Path) -> None:
    wait = "while not os.path.exists('go'): time.sleep(0.01)"  # it lives for as long as it is to be killed
    plan = [writer(name, pause=0.002, size=600 * WRITE, epilogue=wait) for name in "abc"]
    with ExitStack() as runs:
        run = runs.enter_context(running(tmp_path, *plan, options=DURABLE))
        for target in (50, 100, 150, 200):
            _wait_until_written(run, target)
            kill(run)
            run = runs.enter_context(resumed(tmp_path))
            if target == 50:  # the others are killed wherever they are
                run.wait_for(WorkerAdopted, "c")
        go(run)
        run.finish()

        epochs = [event.epoch for event in run.events(RunResumed)]
        assert epochs == sorted(set(epochs))
        assert epochs[0] == 2
        for name in "abc":
            assert has_line_numbers(run.spool(name))
            assert covered(run, name) == len(run.spool(name)) == 600 * WRITE
        assert len(run.events(WorkerStarted)) == len(run.events(WorkerExited)) == 3


def _wait_until_written(run: RunningPlan, blocks: int) -> None:
    run.wait_until(lambda: all(acknowledged(run, name) > blocks * WRITE for name in "abc"))


def test_what_ended_meanwhile_is_told_with_its_true_status_and_time(tmp_path: Path) -> None:
    plan = (
        task("code", f"{UNTIL_GO}; echo bye; exit 7"),
        task("signal", f"{UNTIL_GO}; kill -SEGV $$"),
        task("stays", "exec sleep 1000"),
    )
    with running(tmp_path, *plan, options=DURABLE) as run:
        pids = [run.wait_for(WorkerStarted, name).pid for name in ("code", "signal")]
        kill(run)
        go(run)
        wait_until(lambda: not any(map(is_alive, pids)))
        ended_before = (tmp_path / "go").stat().st_mtime + 5

        with resumed(tmp_path) as again:
            code, killed = again.wait_for(WorkerExited, "code"), again.wait_for(WorkerExited, "signal")
            again.signal(signal.SIGTERM)
            again.finish(130)

            assert (code.code, code.signal, code.reason, code.stdout_bytes) == (7, None, "exit", 4)
            assert (killed.code, killed.signal) == (None, "SIGSEGV")
            assert (tmp_path / "go").stat().st_mtime <= code.ended_at < ended_before
            assert code.started_at == again.events(WorkerStarted, "code")[0].at
            assert again.spool("code") == b"bye\n"


def test_when_all_have_ended_the_keeper_goes_too_and_its_files_tell_how(tmp_path: Path) -> None:
    plan = (task("a", f"{UNTIL_GO}; echo bye; exit 7"), task("b", "echo b"))
    with running(tmp_path, *plan, options=DURABLE) as run:
        run.wait_for(WorkerExited, "b")
        run.wait_for(WorkerStarted, "a")
        kill(run)
        go(run)
        wait_until(lambda: not run.fleet.keeper_lives())

        with resumed(tmp_path) as again:
            again.finish(1)

            (exited,) = again.events(WorkerExited, "a")
            assert (exited.code, exited.reason, exited.error, exited.stdout_bytes) == (7, "exit", "", 4)
            assert covered(again, "a") == 4
            assert statuses(again) == {"a": "failed", "b": "succeeded"}


def test_attached_workers_end_with_their_supervisor_and_begin_again_with_the_next(tmp_path: Path) -> None:
    plan = (
        task("stays", f"echo s >> log; {UNTIL_GO}", durable=True),
        task("goes", f"echo g >> log; {UNTIL_GO}", backoff="1ms"),
    )
    with running(tmp_path, *plan) as run:
        pids = [run.wait_for(WorkerStarted, name).pid for name in ("stays", "goes")]
        kill(run)
        wait_until(lambda: not is_alive(pids[1]))

        with resumed(tmp_path) as again:
            again.wait_for(WorkerStarted, "goes", count=2)
            assert is_alive(pids[0])
            go(run)
            again.finish()

            assert sorted((tmp_path / "log").read_text().split()) == ["g", "g", "s"]
            assert [event.reason for event in again.events(WorkerExited, "goes")] == ["orphaned", "exit"]
            assert statuses(again) == {"stays": "succeeded", "goes": "succeeded"}


def test_a_retry_that_was_due_meanwhile_is_made_and_the_attempts_count_on(tmp_path: Path) -> None:
    plan = (
        task("a", "echo x >> tries; [ $(wc -l < tries) -ge 3 ]", retries=2, backoff="300ms"),
        task("b", f"{UNTIL_GO}"),
    )
    with running(tmp_path, *plan, options=DURABLE) as run:
        run.wait_until(lambda: any(e.status == "retrying" for e in run.events(TaskStatusChanged, "a")))
        kill(run)

        with resumed(tmp_path) as again:
            go(run)
            again.finish()

            assert [event.attempt for event in again.events(AttemptStarting, "a")] == [1, 2, 3]
            assert statuses(again) == {"a": "succeeded", "b": "succeeded"}


def test_a_timeout_holds_without_a_supervisor(tmp_path: Path) -> None:
    with running(
        tmp_path,
        task("a", "trap '' TERM; echo on; while :; do sleep 0.1; done", timeout="1s", grace="100ms"),
        task("b", "exec sleep 1000"),
        options=DURABLE,
    ) as run:
        pid = run.wait_for(WorkerStarted, "a").pid
        run.wait_for_output("a", b"on\n")
        kill(run)
        wait_until(lambda: not is_alive(pid))

        with resumed(tmp_path) as again:
            exited = again.wait_for(WorkerExited, "a")
            again.signal(signal.SIGTERM)
            again.finish(130)

            assert (exited.reason, exited.signal) == ("timeout", "SIGKILL")
            assert statuses(again)["a"] == "timed-out"


def test_a_two_way_worker_keeps_its_stdin(tmp_path: Path) -> None:
    script = "import sys\nopen('pid', 'w').close()\nprint('eof' if not sys.stdin.read() else 'text')"
    with running(tmp_path, python("a", script, stdin="pipe"), task("b", "exec sleep 1000"), options=DURABLE) as run:
        pid = run.wait_for(WorkerStarted, "a").pid
        run.wait_until((tmp_path / "pid").exists)
        kill(run)
        with resumed(tmp_path) as again:
            again.wait_for(WorkerAdopted, "a")
            assert is_alive(pid)
            assert again.spool("a") == b""
            again.signal(signal.SIGTERM)
            again.finish(130)


def test_a_stop_that_was_under_way_is_finished(tmp_path: Path) -> None:
    plan = (
        task("a", "trap 'echo term' TERM; echo on; while :; do sleep 0.01; done", grace="1h"),
        task("b", "true", needs=["a"]),
    )
    with running(tmp_path, *plan, options=DURABLE) as run:
        run.wait_for_output("a", b"on\n")
        run.signal(signal.SIGTERM)
        run.wait_for(RunStopping)
        kill(run)

        with resumed(tmp_path) as again:
            again.wait_for(RunStopping, count=2)
            again.signal(signal.SIGTERM)
            again.wait_for(RunStopping, count=3)
            again.signal(signal.SIGTERM)
            again.finish(130)

            assert statuses(again) == {"a": "stopped", "b": "stopped"}


def test_callboard_and_keeper_killed_what_is_left_is_ended_and_told_as_lost(tmp_path: Path) -> None:
    plan = (
        task("a", "setsid sleep 1000 & echo on; exec sleep 1000"),
        task("b", "echo b", needs=["a"], retries=0),
        task("c", "echo c >> log; [ $(wc -l < log) -ge 2 ] || exec sleep 1000", retries=1, backoff="1ms"),
    )
    with running(tmp_path, *plan, options=DURABLE) as run:
        run.wait_for_output("a", b"on\n")
        run.wait_for(WorkerStarted, "c")
        run.wait_until((tmp_path / "log").exists)
        run.signal(signal.SIGSTOP)  # else it would start another keeper
        kill_keeper(run)
        kill(run)

        with resumed(tmp_path) as again:
            again.finish(1)

            exits = again.events(WorkerExited, "a") + again.events(WorkerExited, "c")[:1]
            assert [(e.code, e.signal, e.reason, bool(e.error)) for e in exits] == [(None, None, "lost", True)] * 2
            assert again.spool("a") == b"on\n"
            assert covered(again, "a") == 3
            assert statuses(again) == {"a": "failed", "b": "skipped", "c": "succeeded"}


def test_after_a_reboot_no_pid_means_anything_and_what_ran_is_lost(tmp_path: Path) -> None:
    """Another boot id stands for another boot: the pids that are recorded may be anybody's now."""
    plan = task("a", "echo on; exec sleep 1000"), task("b", "echo b")
    with running(tmp_path, *plan, options=DURABLE) as run:
        run.wait_for_output("a", b"on\n")
        worker = run.wait_for(WorkerStarted, "a").pid
        run.wait_for(WorkerExited, "b")
        run.signal(signal.SIGSTOP)
        kill_keeper(run)
        kill(run)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not is_alive(worker))
        _reboot(run)

        with resumed(tmp_path) as again:
            again.finish(1)

            (exited,) = again.events(WorkerExited, "a")
            assert (exited.reason, exited.code) == ("lost", None)
            assert "restarted" in exited.error
            assert statuses(again) == {"a": "failed", "b": "succeeded"}


def _reboot(run: RunningPlan) -> None:
    """All that is on disk names another boot."""
    identity = json.loads(run.folder.identity.read_bytes())
    old, new = identity["boot_id"], "0" * len(identity["boot_id"])
    run.folder.identity.write_text(json.dumps({**identity, "boot_id": new}))
    for status in (run.folder.root / "status").iterdir():
        status.write_bytes(status.read_bytes().replace(old.encode(), new.encode()))


def test_a_keeper_that_dies_after_its_adoption_is_replaced(tmp_path: Path) -> None:
    with running(tmp_path, writer("a", pause=0.001, size=2000 * WRITE), options=DURABLE) as run:
        run.wait_until(lambda: acknowledged(run, "a") > 30 * WRITE)
        kill(run)

        with resumed(tmp_path) as again:
            again.wait_for(WorkerAdopted, "a")
            kill_keeper(again)
            again.wait_for(KeeperLost)
            again.wait()

            assert has_line_numbers(again.spool("a"))
            assert len(again.spool("a")) == 2000 * WRITE == covered(again, "a")
            (exited,) = again.events(WorkerExited)
            assert exited.reason == "lost"  # its parent was nobody of ours, so nobody saw its exit status


def test_an_attempt_that_had_not_begun_is_begun_and_takes_no_retry(tmp_path: Path) -> None:
    with running(tmp_path, *(task(f"t{n}", "true") for n in range(60)), options=DURABLE) as run:
        run.wait_for(AttemptStarting, count=5)
        kill(run)

        with resumed(tmp_path) as again:
            again.finish()

            assert set(statuses(again).values()) == {"succeeded"}
            told = {(event.worker, event.attempt) for event in again.events(WorkerStarted)}
            ran = [event for event in again.events(WorkerExited) if event.reason == "exit"]
            assert {(event.worker, event.attempt) for event in ran} <= told


def test_a_spool_that_somebody_removed_ends_nobody_else(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo on; {UNTIL_GO}"), task("b", UNTIL_GO), options=DURABLE) as run:
        run.wait_for_output("a", b"on\n")
        run.wait_for(WorkerOutput, "a")
        run.wait_for(WorkerStarted, "b")
        kill(run)
        shutil.rmtree(run.spool_path("a").parent)

        with resumed(tmp_path) as again:
            again.wait_for(WorkerAdopted, "b")
            go(run)
            again.finish()

            (mismatch,) = again.events(WorkerMismatch)
            assert (mismatch.worker, mismatch.written, mismatch.spooled, mismatch.recorded) == ("a", 3, 0, 3)
            assert statuses(again) == {"a": "succeeded", "b": "succeeded"}


def test_a_run_from_a_manifest_goes_on_with_the_manifest_as_it_was(tmp_path: Path) -> None:
    agents = [
        {"id": "maker", "creates": ["thing"], "command": ["/bin/sh", "-c", f"{UNTIL_GO}; echo made >> log"]},
        {"id": "user", "needs": ["thing"], "command": ["/bin/sh", "-c", "echo used >> log"]},
    ]
    (tmp_path / "m.json").write_text(json.dumps({"agents": agents}))
    with running(tmp_path, 'generate = { manifest = "m.json" }', options=DURABLE) as run:
        run.wait_for(WorkerStarted, "maker")
        kill(run)
        (tmp_path / "m.json").unlink()
        go(run)
        with resumed(tmp_path) as again:
            again.finish()

            assert (tmp_path / "log").read_text().split() == ["made", "used"]
