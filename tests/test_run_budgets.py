"""Real workers and budgets: told, stopped, refused, and remembered over a kill."""

import signal
from pathlib import Path

import pytest

from protocols.budget import BudgetExceeded, BudgetWarned
from protocols.events import AttemptStarting, RunStopping, WorkerStarted
from tests.running import callboard, python, resumed, running, table

pytestmark = pytest.mark.deadline(90)  # where the machine is busy, some wait long for their processes
SLEEPS = "import time; time.sleep(1000)"


def test_a_task_whose_time_is_used_up_is_stopped_and_not_retried(tmp_path: Path) -> None:
    budget = {"time": "1500ms", "soft": {"time": "300ms"}}
    plan = python("a", SLEEPS, timeout="1s", retries=5, backoff="1ms", grace="0s", budget=budget)
    with running(tmp_path, plan, python("b", "pass")) as run:
        run.finish(1)

        (warned,), (exceeded,) = run.events(BudgetWarned), run.events(BudgetExceeded)
        assert (warned.scope, warned.name, warned.kind, exceeded.kind) == ("task", "a", "time", "time")
        task = run.task("a")
        assert (task.status, [each.reason for each in task.attempts]) == ("failed", ["timeout", "budget"])
        assert task.reason.startswith('budget of task "a": time 1.')
        assert run.task("b").status == "succeeded"
        (time, *_) = run.report.budgets
        assert (time.kind, time.hard, time.spent >= 1.5) == ("time", 1.5, True)
        assert b'budget of task "a": time ' in run.stdout


def test_the_budget_of_a_run_stops_all_of_it_and_is_told_as_such(tmp_path: Path) -> None:
    defaults = table("[defaults]", {"grace": "0s", "budget": {"time": "1s"}})
    with running(tmp_path, defaults, python("a", SLEEPS), python("b", SLEEPS, needs=["a"])) as run:
        run.finish(130)

        assert run.wait_for(RunStopping).reason.startswith("budget of the run: time 1")
        assert {task.status for task in run.report.tasks} == {"stopped"}


def test_no_more_attempts_are_made_than_a_role_may_have(tmp_path: Path) -> None:
    role = table("[roles.r]", {"retries": 9, "backoff": "1ms", "budget": {"attempts": 5}})
    tasks = [python(f"t{number}", "raise SystemExit(3)", role="r") for number in range(4)]
    with running(tmp_path, role, *tasks) as run:
        run.finish(1)

        ran = run.events(WorkerStarted)
        assert len(ran) == 5
        assert {task.status for task in run.report.tasks} == {"failed"}
        assert all("attempts 5 of 5" in task.reason for task in run.report.tasks)


def test_a_worker_is_told_that_much_is_used_where_the_plan_has_words_for_it(tmp_path: Path) -> None:
    budget = {"time": "1h", "soft": {"time": "300ms"}, "warning": "Be brief."}
    with running(tmp_path, python("a", "print('read', input())", stdin="pipe", budget=budget)) as run:
        run.finish()

        assert run.spool("a") == b"read Be brief.\n"


@pytest.mark.parametrize("durable", [True, False])
def test_what_was_used_before_callboard_was_killed_counts(tmp_path: Path, durable: bool) -> None:
    budget = {"attempts": 2, "time": "1h", "soft": {"time": "200ms"}}
    keys = {"durable": durable, "retries": 9, "backoff": "1ms", "grace": "0s", "budget": budget}
    script = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.02)\nraise SystemExit(3)"
    with running(tmp_path, python("a", script, **keys)) as run:
        run.wait_for(BudgetWarned)
        run.signal(signal.SIGKILL)
        run.process.wait()
        (tmp_path / "go").touch()
        with resumed(tmp_path) as again:
            again.finish(1)

            assert len(again.events(BudgetWarned)) == 1
            assert len(again.events(AttemptStarting)) == 2
            assert "attempts 2 of 2" in again.task("a").reason


def test_status_tells_what_is_used_of_each_budget(tmp_path: Path) -> None:
    with running(tmp_path, python("a", SLEEPS, grace="0s", budget={"time": "2h", "attempts": 3})) as run:
        run.wait_for(WorkerStarted)
        status = callboard(tmp_path, "status").stdout
        callboard(tmp_path, "stop", "--force", patience=80.0)

        assert 'budget of task "a": time ' in status
        assert " of 2h, attempts 1 of 3" in status
