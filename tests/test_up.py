"""``callboard up``: it takes tasks while it lives, and a ``kill -9`` of it costs none of them."""

import json
import os
import signal
import stat
from contextlib import closing
from pathlib import Path

from actors.ledger_file import open_ledger
from protocols.events import (
    AttemptStarting,
    RunEnded,
    RunResumed,
    RunStopping,
    TaskStatusChanged,
    WorkerExited,
    WorkerStarted,
)
from protocols.ids import TaskId
from protocols.ledger import Entry
from protocols.task_events import TasksSubmitted
from supervisor.fleets import find_fleets
from supervisor.sweep import find_end
from tests.running import callboard, start
from tests.standing_fleet import Up, up


def _status(fleet: Up, name: str) -> list[str]:
    return [event.status for event in fleet.events(TaskStatusChanged, name)]


def test_a_task_that_is_spawned_runs_at_once_and_its_answer_comes_when_it_is_in_the_journal(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        done = fleet.done("spawn", task={"id": "a", "command": ["echo", "hello"]}, cwd=str(tmp_path))
        told = [record.seq for record in fleet.records() if isinstance(record.event, TasksSubmitted)]
        fleet.wait_for(WorkerExited, "a")

        assert told and told[0] <= done["seq"]
        assert fleet.spool("a") == b"hello\n"
        fleet.signal(signal.SIGTERM)
        fleet.finish(0)


def test_it_does_not_end_when_all_of_its_tasks_are_over(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        first = fleet.spawn(command=["true"])
        fleet.wait_for(WorkerExited, first)
        second = fleet.spawn(command=["true"])
        fleet.wait_for(WorkerExited, second)

        assert (first, second) == ("true", "true-2")
        assert not fleet.events(RunEnded)


def test_a_task_with_mistakes_is_refused_in_the_words_of_a_plan_and_leaves_nothing(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        typo = fleet.refused("spawn", task={"comand": ["true"]}, cwd=str(tmp_path))
        missing = fleet.refused("spawn", task={"command": ["no-such-program"]}, cwd=str(tmp_path))
        null = fleet.refused("spawn", task={"command": ["true"], "timeout": None}, cwd=str(tmp_path))
        relative = fleet.refused("spawn", task={"command": ["true"]}, cwd="here")
        fleet.spawn(id="a", command=["true"])
        twice = fleet.refused("spawn", task={"id": "a", "command": ["true"]}, cwd=str(tmp_path))

        assert 'comand: no such key; did you mean "command"?' in typo
        assert missing.startswith("command: ") and "no-such-program" in missing
        assert null == "timeout: null is no value of a plan; leave the key out"
        assert relative == 'cwd: "here": write an absolute path'
        assert 'there is a task "a" already' in twice
        assert [path.name for path in fleet.folder.submitted.iterdir()] == ["a.json"]


def test_a_task_that_is_stopped_ends_and_has_no_other_attempt(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command=["sleep", "1000"], restart="always")
        fleet.wait_for(WorkerStarted, "a")

        done = fleet.done("stop", task="a")

        assert (done["task"], done["attempt"]) == ("a", 1)
        assert _status(fleet, "a")[-1] == "stopped"
        assert "it is over already, it is stopped" in fleet.refused("stop", task="a")
        assert 'did you mean "a"?' in fleet.refused("stop", task="aa")


def test_a_task_that_waits_for_a_place_is_cancelled_without_a_start(tmp_path: Path) -> None:
    (tmp_path / "callboard.toml").write_text("[up]\nconcurrency = 1\n")
    with up(tmp_path) as fleet:
        fleet.spawn(id="first", command=["sleep", "1000"])
        fleet.wait_for(WorkerStarted, "first")
        fleet.spawn(id="second", command=["sleep", "1000"])

        done = fleet.done("cancel", task="second", reason="not needed")

        assert (done["task"], done["attempt"]) == ("second", 0)
        last = fleet.events(TaskStatusChanged, "second")[-1]
        assert (last.status, last.reason) == ("stopped", "not needed")
        assert not fleet.events(AttemptStarting, "second")


def test_a_restart_is_one_more_attempt_at_once_whatever_the_retries_are(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command=["sleep", "1000"])
        fleet.wait_for(WorkerStarted, "a")

        done = fleet.done("restart", task="a")
        fleet.wait_for(WorkerStarted, "a", 2)

        assert done["attempt"] == 2
        assert fleet.events(WorkerExited, "a")[0].reason == "stop"
        assert "restarting" in _status(fleet, "a")


def test_killed_it_goes_on_with_the_same_run_and_its_workers_do_not_notice(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        killed.spawn(id="a", command=["sleep", "1000"])
        pid = killed.wait_for(WorkerStarted, "a").pid
        killed.process.kill()
        killed.process.wait()
        with up(tmp_path) as fleet:
            fleet.wait_for(RunResumed)
            fleet.spawn(id="b", command=["true"])
            fleet.wait_for(WorkerExited, "b")

            assert len(find_fleets(tmp_path / ".callboard")) == 1
            assert [started.pid for started in fleet.events(WorkerStarted, "a")] == [pid]
            os.kill(pid, 0)
            assert fleet.done("stop", task="a")["attempt"] == 1
            fleet.signal(signal.SIGTERM)
            fleet.finish(0)


def test_what_was_never_submitted_to_its_end_is_not_there_after_a_kill(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        killed.spawn(id="a", command=["true"])
        killed.wait_for(WorkerExited, "a")
        killed.process.kill()
        killed.process.wait()
        (killed.folder.submitted / "b.json").write_text('{"task": {"id": "b", "command": ["true"]}, "cwd": "/"}')
        with up(tmp_path) as fleet:
            assert fleet.spawn(id="b", command=["true"]) == "b"
            fleet.wait_for(WorkerExited, "b")

            assert [event.tasks for event in fleet.events(TasksSubmitted)] == [("a",), ("b",)]


def test_there_is_one_for_each_state_folder_and_a_stranger_learns_where_it_listens(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        port = tmp_path / ".callboard" / "port.json"
        told = json.loads(port.read_text())

        second = callboard(tmp_path, "up", code=2)

        assert f"callboard up runs here already, pid {fleet.process.pid}" in second.stderr
        assert (told["pid"], told["run"]) == (fleet.process.pid, fleet.folder.root.name)
        assert stat.S_IMODE(port.stat().st_mode) == 0o600
        fleet.signal(signal.SIGTERM)
        fleet.finish(0)
        assert not port.exists()


def test_a_hang_up_is_ignored_and_a_stop_of_its_run_ends_it_in_order(tmp_path: Path) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command=["sleep", "1000"])
        fleet.wait_for(WorkerStarted, "a")
        fleet.signal(signal.SIGHUP)
        fleet.spawn(id="b", command=["true"])

        callboard(tmp_path, "stop")

        fleet.finish(0)
        assert fleet.events(RunEnded)
        assert _status(fleet, "a")[-1] == "stopped"


def test_after_a_stop_in_order_the_next_one_begins_a_new_run(tmp_path: Path) -> None:
    with up(tmp_path) as first:
        first.spawn(id="a", command=["true"])
        first.signal(signal.SIGTERM)
        first.finish(0)
    with up(tmp_path) as second:
        assert second.spawn(id="a", command=["true"]) == "a"
        assert len(find_fleets(tmp_path / ".callboard")) == 2


def test_killed_while_it_stops_the_next_one_ends_that_run_and_begins_a_new_one(tmp_path: Path) -> None:
    deaf = "trap '' TERM; touch deaf; until test -e go; do sleep 0.05; done"
    with up(tmp_path) as killed:
        killed.spawn(id="a", command=["sh", "-c", deaf], grace="1000s")
        killed.wait_until((tmp_path / "deaf").exists)
        killed.signal(signal.SIGTERM)
        killed.wait_for(RunStopping)
        killed.process.kill()
        killed.process.wait()
        old = killed.fleet
        (tmp_path / "go").touch()
        with up(tmp_path) as fleet:
            assert fleet.fleet.name != old.name
            assert find_end(old) is not None
            assert fleet.spawn(id="a", command=["true"]) == "a"


def test_a_stop_while_the_next_one_ends_that_run_is_obeyed(tmp_path: Path) -> None:
    deaf = "trap '' TERM; touch deaf; until test -e go; do sleep 0.05; done"
    with up(tmp_path) as killed:
        killed.spawn(id="a", command=["sh", "-c", deaf], grace="1000s")
        killed.wait_until((tmp_path / "deaf").exists)
        killed.signal(signal.SIGTERM)
        killed.wait_for(RunStopping)
        killed.process.kill()
        killed.process.wait()
        (tmp_path / ".callboard" / "port.json").unlink()
        again = Up(tmp_path, start(tmp_path, ["up", "--port", "0"]))
        try:
            again.wait_until(lambda: len(again.events(RunStopping)) == 2)
            again.signal(signal.SIGTERM)
            again.wait_until(lambda: len(again.events(RunStopping)) == 3)
            (tmp_path / "go").touch()

            again.finish(0)
        finally:
            again.close()
        assert len(find_fleets(tmp_path / ".callboard")) == 1


def test_its_run_is_taken_up_by_up_alone_and_a_run_of_a_plan_takes_no_tasks(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        killed.process.kill()
        killed.process.wait()
        resumed = callboard(tmp_path, "resume", code=2)
        ended = callboard(tmp_path, "stop")

    assert "go on with it: callboard up" in resumed.stderr
    assert "has ended" in ended.stdout


def test_a_task_that_failed_under_an_earlier_supervisor_is_retried(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        killed.spawn(id="a", command=["sh", "-c", "test -e ready"])
        killed.spawn(id="b", command=["true"])
        killed.wait_for(WorkerExited, "a")
        killed.wait_for(WorkerExited, "b")
        killed.wait_until(lambda: _status(killed, "a")[-1] == "failed" and _status(killed, "b")[-1] == "succeeded")
        killed.process.kill()
        killed.process.wait()
        (tmp_path / "ready").touch()
        with up(tmp_path) as fleet:
            assert "it is succeeded" in fleet.refused("retry", task="b")
            fleet.done("retry", task="a")
            assert fleet.wait_for(WorkerExited, "a", 2).code == 0
            done = fleet.done("restart", task="b")
            fleet.wait_for(WorkerExited, "b", 2)

            assert done["attempt"] == 2
            fleet.wait_until(lambda: _status(fleet, "a")[-1] == "succeeded")


def test_with_a_task_that_failed_under_an_earlier_supervisor_it_ends_in_order(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        killed.spawn(id="a", command=["false"])
        killed.wait_until(lambda: _status(killed, "a")[-1:] == ["failed"])
        killed.process.kill()
        killed.process.wait()
        with up(tmp_path) as fleet:
            fleet.signal(signal.SIGTERM)

            fleet.finish(0)
            assert [event.outcome for event in fleet.events(RunEnded)] == ["failed"]


def test_what_the_ledger_alone_knew_when_it_was_killed_is_there_and_runs_once(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        killed.process.kill()
        killed.process.wait()
        folder = killed.folder
        folder.submitted.mkdir(mode=0o700)
        kept = {"task": {"id": "a", "command": ["sh", "-c", "echo x >> ran"]}, "cwd": str(tmp_path)}
        (folder.submitted / "a.json").write_text(json.dumps(kept))
        told = TasksSubmitted(at=0.0, tasks=(TaskId("a"),))
        with closing(open_ledger(folder.ledger)) as ledger:
            ledger.do(lambda rules: rules.submit([Entry(id=TaskId("a"))], tell=[told]))
        for _ in range(2):
            with up(tmp_path) as fleet:
                fleet.wait_for(WorkerExited, "a")
                fleet.wait_until(lambda: _status(fleet, "a")[-1] == "succeeded")
                assert fleet.refused("spawn", task={"id": "a", "command": ["true"]}, cwd="/").startswith("id: there is")
                assert [event.tasks for event in fleet.events(TasksSubmitted)] == [("a",)]
                fleet.process.kill()
                fleet.process.wait()

        assert (tmp_path / "ran").read_text() == "x\n"


def test_a_secret_of_a_task_that_came_later_is_given_to_it_and_shown_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("correct horse battery")
    (tmp_path / "key").chmod(0o600)
    with up(tmp_path) as fleet:
        fleet.spawn(id="a", command='echo "$KEY"', shell=True, secrets={"KEY": {"file": "key"}})
        fleet.wait_for(WorkerExited, "a")

        assert fleet.spool("a") == b"correct horse battery\n"
        assert "***KEY***" in callboard(tmp_path, "logs", fleet.fleet.name, "a").stdout
        assert "correct horse" not in fleet.folder.journal.read_bytes().decode("latin-1")
