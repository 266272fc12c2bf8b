"""Runs on a machine that is short of memory: who waits is told why, and starts when there is some again."""

import json
from pathlib import Path

import pytest

from protocols.events import TaskStatusChanged, WorkerStarted
from tests.made_machines import inside, make_machine
from tests.running import callboard, running, task

_GB = 1_000_000_000
_SETTINGS = '[admission]\nmin_free_memory = "512 MB"\n'
_WAITS = "waits: 200 MB of memory free, 512 MB wanted"
_STAYS = "until [ -e free ]; do sleep 0.01; done"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """With little memory; `make_machine` gives it more."""
    root = tmp_path / "machine"
    make_machine(root, free=200_000_000)
    return root


def test_who_waits_for_memory_is_told_with_the_reason_and_starts_when_there_is_some(
    tmp_path: Path, machine: Path
) -> None:
    plan = (task("a", _STAYS), task("b", "true"))
    with running(tmp_path, *plan, settings=_SETTINGS, before=inside(machine)) as run:
        run.wait_until(lambda: any(event.reason == _WAITS for event in run.events(TaskStatusChanged, "b")))
        run.wait_for(WorkerStarted, "a")
        status = json.loads(callboard(tmp_path, "status", "--json").stdout)
        shown = callboard(tmp_path, "status").stdout
        make_machine(machine, free=8 * _GB)
        run.wait_for(WorkerStarted, "b")
        (tmp_path / "free").touch()
        run.finish()

        assert [(each["task"], each["status"], each.get("reason", "")) for each in status["tasks"]] == [
            ("a", "running", ""),
            ("b", "pending", _WAITS),
        ]
        assert _WAITS in shown
        assert f"b: {_WAITS}".encode() in run.stdout
        assert run.report.totals.statuses == {"succeeded": 2}


def test_without_memory_all_tasks_run_one_after_the_other(tmp_path: Path, machine: Path) -> None:
    alone = "mkdir lock || exit 1; sleep 0.02; rmdir lock"
    plan = (task(name, alone) for name in "abc")
    with running(tmp_path, *plan, settings=_SETTINGS, before=inside(machine)) as run:
        run.finish()

        assert run.report.totals.statuses == {"succeeded": 3}


def test_programs_that_wait_for_memory_hold_up_starts(tmp_path: Path, machine: Path) -> None:
    make_machine(machine, free=8 * _GB, memory=55.0)
    plan = (task("a", _STAYS), task("b", "true"))
    with running(tmp_path, *plan, before=inside(machine)) as run:
        told = run.wait_for(TaskStatusChanged, "b").reason
        make_machine(machine, free=8 * _GB, memory=5.0)
        run.wait_for(WorkerStarted, "b")
        (tmp_path / "free").touch()
        run.finish()

    assert told == "waits: programs wait for memory 55% of the time, 40% allowed"


def test_with_the_limits_off_nobody_waits(tmp_path: Path, machine: Path) -> None:
    settings = "[admission]\nmin_free_memory = 0\nmax_memory_pressure = 0\n"
    plan = (task("a", "until [ -e b ]; do sleep 0.01; done"), task("b", "touch b"))
    with running(tmp_path, *plan, settings=settings, before=inside(machine)) as run:
        run.finish()
