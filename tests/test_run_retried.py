"""``callboard retry``: some tasks of an ended run once more, from the command line."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocols.events import RunEnded, TaskStatusChanged, WorkerStarted
from protocols.ids import TaskId
from protocols.task_events import RunRetried
from tests.detached import DURABLE, kill
from tests.running import RunningPlan, callboard, resumed, running, start, task

JSON = {"stdout_json": True}
PLAN = (
    task("give", "echo give >> log; echo '{\"n\": 1}'", output=JSON),
    task("fix", "echo fix >> log; [ -e fixed ] && echo {{ outputs.give.n }}-{{ attempt }}", needs=["give"]),
    task("behind", "echo behind >> log", needs=["fix"]),
    task("beside", "echo beside >> log", needs=["give"]),
)


@contextmanager
def retried(cwd: Path, *arguments: str) -> Iterator[RunningPlan]:
    run = RunningPlan(cwd, start(cwd, ["retry", *arguments]))
    try:
        yield run
    finally:
        run.close()


def ran(tmp_path: Path) -> list[str]:
    """What has run since this was asked last."""
    log = tmp_path / "log"
    lines = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def fail_once(tmp_path: Path, *plan: str) -> None:
    with running(tmp_path, *plan) as run:
        run.finish(1)


def test_a_task_and_what_depends_on_it_run_again_and_nothing_else(tmp_path: Path) -> None:
    fail_once(tmp_path, *PLAN)
    assert sorted(ran(tmp_path)) == ["beside", "fix", "give"]
    (tmp_path / "fixed").touch()

    with retried(tmp_path, "--from", "fix") as again:
        again.finish()

        assert ran(tmp_path) == ["fix", "behind"]
        assert again.spool("fix", 2) == b"1-2\n"  # what was given before is there
        assert {each.id: (each.status, len(each.attempts)) for each in again.report.tasks} == {
            "give": ("succeeded", 1),
            "fix": ("succeeded", 2),
            "behind": ("succeeded", 1),
            "beside": ("succeeded", 1),
        }
        assert [event.outcome for event in again.events(RunEnded)] == ["failed", "succeeded"]
        (event,) = again.events(RunRetried)
        assert (event.origins, event.tasks) == (("fix",), ("fix", "behind"))
        before = json.loads((again.folder.root / "report.1.json").read_text())
        assert (before["outcome"], again.report.outcome) == ("failed", "succeeded")
        log = json.loads(again.folder.task_log(TaskId("fix")).read_text())
        assert (log["status"], [attempt["code"] for attempt in log["attempts"]]) == ("succeeded", [1, 0])
        assert "succeeded" in callboard(tmp_path, "runs").stdout


def test_a_task_alone_runs_again_and_what_depends_on_it_stays_as_it_was(tmp_path: Path) -> None:
    fail_once(tmp_path, *PLAN)
    ran(tmp_path)
    (tmp_path / "fixed").touch()

    with retried(tmp_path, "--from", "fix", "--only") as again:
        again.finish()

        assert ran(tmp_path) == ["fix"]
        assert again.task("behind").status == "skipped"

    with retried(tmp_path, "--from", "give", "--only") as again:
        again.finish()

        assert ran(tmp_path) == ["give"]
        assert (again.folder.root / "report.2.md").exists()


def test_retries_count_anew_and_a_failure_of_before_is_not_told_again(tmp_path: Path) -> None:
    command = "echo '{{ last_failure }}' >> told; exit 3"
    fail_once(tmp_path, task("a", command, retries=1, backoff="0s"))

    with retried(tmp_path, "--from", "a") as again:
        again.finish(1)

        assert len(again.task("a").attempts) == 4
        assert (tmp_path / "told").read_text().splitlines() == ["", "exit code 3", "", "exit code 3"]


def test_a_retried_run_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    wait = "echo fix >> log; [ ! -e fixed ] && exit 1; while [ ! -e go ]; do sleep 0.01; done"
    plan = (PLAN[0], task("fix", wait, needs=["give"]), *PLAN[2:])
    with running(tmp_path, *plan, options=DURABLE) as run:
        run.finish(1)
    ran(tmp_path)
    (tmp_path / "fixed").touch()

    with retried(tmp_path, "--from", "fix") as again:
        again.wait_for(WorkerStarted, "fix", 2)
        kill(again)
        assert "detached" in callboard(tmp_path, "runs").stdout
        (tmp_path / "go").touch()
        with resumed(tmp_path) as last:
            last.finish()

            assert ran(tmp_path) == ["fix", "behind"]
            assert len(last.events(RunRetried)) == 1
            assert [event.outcome for event in last.events(RunEnded)] == ["failed", "succeeded"]


def test_a_retried_run_whose_workers_end_with_it_is_concluded_by_its_last_pass(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "[ ! -e go ] || sleep 60"), task("b", "true", needs=["a"])) as run:
        run.finish()
    (tmp_path / "go").touch()

    with retried(tmp_path, "--from", "a") as again:
        again.wait_for(WorkerStarted, "a", 2)
        again.signal(signal.SIGKILL)
        again.wait()

        report = json.loads(callboard(tmp_path, "report", "--json").stdout)
        assert (report["outcome"], [each["status"] for each in report["tasks"]]) == (
            "interrupted",
            ["stopped", "stopped"],  # what they had done before is not what came out now
        )


def test_several_tasks_may_be_named_and_others_that_failed_stay_so(tmp_path: Path) -> None:
    plan = [task(name, f"echo {name} >> log; exit $(cat code)") for name in "abc"]
    (tmp_path / "code").write_text("1")
    fail_once(tmp_path, *plan)
    ran(tmp_path)
    (tmp_path / "code").write_text("0")

    with retried(tmp_path, "--from", "a", "--from", "c") as again:
        again.finish(1)

        assert sorted(ran(tmp_path)) == ["a", "c"]
        assert [each.status for each in again.report.tasks] == ["succeeded", "failed", "succeeded"]
        assert [event.status for event in again.events(TaskStatusChanged, "b")] == ["running", "failed"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--from", "fixx"), '--from "fixx": the run has no such task; did you mean "fix"?'),
        (("--from", "behind"), '--from "behind": it was skipped: needs "fix", which failed; begin with that'),
        ((), "--from is missing, or the name of a worker"),
    ],
)
def test_what_cannot_run_again_is_told_and_changes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], problem: str
) -> None:
    fail_once(tmp_path, *PLAN)
    before = sorted(path.name for path in tmp_path.glob(".callboard/*/report*"))

    assert problem in callboard(tmp_path, "retry", *arguments, code=2).stderr
    assert sorted(path.name for path in tmp_path.glob(".callboard/*/report*")) == before
    assert "failed" in callboard(tmp_path, "runs").stdout
    assert "its tasks run again with: callboard retry" in callboard(tmp_path, "resume", code=2).stderr


def test_what_a_stop_has_ended_goes_on_from_where_it_was_stopped(tmp_path: Path) -> None:
    plan = (task("a", "[ -e go ] || sleep 60"), task("b", "true", needs=["a"]), task("c", "true", needs=["b"]))
    with running(tmp_path, *plan) as run:
        run.wait_for(WorkerStarted, "a")
        run.signal(signal.SIGTERM)
        run.finish(130)
    (tmp_path / "go").touch()

    said = callboard(tmp_path, "retry", "--from", "b", code=2).stderr
    assert '--from "b": it needs "a", which was stopped; begin with that' in said
    with retried(tmp_path, "--from", "a") as again:
        again.finish()

        assert [each.status for each in again.report.tasks] == ["succeeded", "succeeded", "succeeded"]


def test_a_run_that_has_not_ended_is_resumed_and_not_retried(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "sleep 60"), options=DURABLE) as run:
        run.wait_for(WorkerStarted, "a")

        assert "its supervisor lives" in callboard(tmp_path, "retry", "--from", "a", code=2).stderr

        kill(run)
        said = callboard(tmp_path, "retry", "--from", "a", code=2).stderr
        assert "it has not ended; go on with it: callboard resume" in said
