"""Callboard is killed and another one goes on: instances that are durable lived on meanwhile."""

import os
import signal
from pathlib import Path

import pytest

from protocols.adoption_events import WorkerAdopted
from protocols.events import InstanceLinked, RunEnded, RunResumed, RunStopping, WorkerOutput, WorkerStarted
from protocols.layout import FleetFolder
from tests.detached import DURABLE, UNTIL_GO, go, kill
from tests.instances import below, come_up, instance, told, write_plan
from tests.keeper_client import is_alive, wait_until_gone
from tests.process_trees import wait_until
from tests.running import RunningPlan, callboard, resumed, running, task

pytestmark = pytest.mark.deadline(90)  # each is several callboards, one after the other

CHATTER = f"echo begun >> log; while [ ! -e go ]; do echo x; sleep 0.02; done; {UNTIL_GO}"


def all_came_up(run: RunningPlan, way: str, folder: FleetFolder) -> bool:
    return come_up(run, way) == [(each.seq, each.event) for each in told(folder)]


def has_ended(folder: FleetFolder) -> bool:
    return any(isinstance(each.event, RunEnded) for each in told(folder))


def test_an_instance_that_goes_on_is_followed_again_record_by_record(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("one", CHATTER), instance("itp", "leaf.toml"))
    write_plan(tmp_path / "leaf.toml", task("leaf", CHATTER))
    with running(tmp_path, instance("build", "sub.toml"), options=DURABLE) as run:
        run.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(run, "build/itp")))
        leaders = [run.wait_for(WorkerStarted, "build").pid]
        leaders += [e.pid for _, e in come_up(run, "build/itp") if isinstance(e, WorkerStarted)]
        folder, leaf = below(run, "build"), below(run, "build", "itp")
        kill(run)
        before = len(told(leaf))
        wait_until(lambda: len(told(leaf)) > before + 10)  # nobody of them has noticed

        with resumed(tmp_path) as again:
            again.wait_for(WorkerAdopted, "build")
            again.wait_until(lambda: len(come_up(again, "build/itp")) > before + 20)
            assert all(map(is_alive, leaders))
            go(run)
            again.finish()

            assert all_came_up(again, "build/itp", leaf)
            assert [number for number, _ in come_up(again, "build")] == sorted({n for n, _ in come_up(again, "build")})
            assert len([1 for each in told(folder) if isinstance(each.event, RunResumed)]) == 0
            assert len({event.run for event in again.events(InstanceLinked)}) == 1
            assert (tmp_path / "log").read_text().split() == ["begun", "begun"]
            assert again.report.totals.statuses == {"succeeded": 4}


def test_an_instance_that_ended_meanwhile_is_told_to_its_end(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("one", CHATTER))
    use = task("use", "echo {{ outputs.build.tasks.one.status }}", needs=["build"])
    with running(tmp_path, instance("build", "sub.toml", output={"report": True}), use, options=DURABLE) as run:
        run.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(run, "build")))
        folder = below(run, "build")
        pid = run.wait_for(WorkerStarted, "build").pid
        kill(run)
        go(run)
        wait_until(lambda: not is_alive(pid))
        assert has_ended(folder)

        with resumed(tmp_path) as again:
            again.finish()

            assert all_came_up(again, "build", folder)
            assert again.spool("use") == b"succeeded\n"
            assert [attempt.reason for attempt in again.task("build").attempts] == ["exit"]
            assert (tmp_path / "log").read_text().split() == ["begun"]


def test_an_instance_that_was_killed_meanwhile_goes_on_in_its_next_attempt(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("done", "echo done >> log"), task("one", CHATTER, needs=["done"]))
    with running(tmp_path, instance("build", "sub.toml", retries=1, backoff="10ms"), options=DURABLE) as run:
        run.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(run, "build")))
        folder = below(run, "build")
        pid = run.wait_for(WorkerStarted, "build").pid
        kill(run)
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)

        with resumed(tmp_path) as again:
            again.wait_until(lambda: any(isinstance(e, RunResumed) for _, e in come_up(again, "build")))
            go(run)
            again.finish()

            assert all_came_up(again, "build", folder)
            assert (tmp_path / "log").read_text().split() == ["done", "begun", "begun"]
            assert len({event.run for event in again.events(InstanceLinked)}) == 1
            assert again.task("build").status == again.task("build/one").status == "succeeded"


def test_an_instance_that_nobody_looks_after_can_be_stopped_in_order(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("one", f"trap 'echo term; exit 4' TERM; {CHATTER}"))
    with running(tmp_path, instance("build", "sub.toml"), options=DURABLE) as run:
        run.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(run, "build")))
        folder = below(run, "build")
        kill(run)

        callboard(tmp_path, "stop")

        events = [each.event for each in told(folder)]
        assert [e.outcome for e in events if isinstance(e, RunEnded)] == ["interrupted"]
        assert next(e for e in events if isinstance(e, RunStopping)).reason == (
            "the callboard that started it stops it"
        )
        assert all_came_up(run, "build", folder)


def test_an_instance_whose_callboard_dies_at_once_is_found_by_the_next_one(tmp_path: Path) -> None:
    """It may not even have its folder yet."""
    write_plan(tmp_path / "sub.toml", task("one", CHATTER))
    with running(tmp_path, instance("build", "sub.toml"), options=DURABLE) as run:
        run.wait_for(WorkerStarted, "build")
        kill(run)

        with resumed(tmp_path) as again:
            again.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(again, "build")))
            go(run)
            again.finish()

            assert all_came_up(again, "build", below(again, "build"))
            assert (tmp_path / "log").read_text().split() == ["begun"]


def test_a_signal_to_an_instance_without_its_callboard_is_a_stop_in_order(tmp_path: Path) -> None:
    write_plan(tmp_path / "sub.toml", task("one", CHATTER))
    with running(tmp_path, instance("build", "sub.toml"), options=DURABLE) as run:
        run.wait_until(lambda: any(isinstance(e, WorkerOutput) for _, e in come_up(run, "build")))
        folder, pid = below(run, "build"), run.wait_for(WorkerStarted, "build").pid
        kill(run)

        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid))

        assert has_ended(folder)
        callboard(tmp_path, "stop")
        assert all_came_up(run, "build", folder)
