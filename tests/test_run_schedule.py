"""Which task starts when: never more at once than the plan says, after its needs, again after a failure."""

from pathlib import Path

from protocols.events import RunEnded, TaskStatusChanged, WorkerExited, WorkerStarted
from tests.running import RunningPlan, running, task


def _most_at_once(run: RunningPlan) -> int:
    """By the times that the keeper saw; a worker counts until its whole tree is gone."""
    moments = [(event.at, 1) for event in run.events(WorkerStarted)]
    moments += [(event.at, -1) for event in run.events(WorkerExited)]
    now = most = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def test_forty_tasks_with_a_concurrency_of_four_never_run_more_than_four_at_once(tmp_path: Path) -> None:
    plan = ["[defaults]\nconcurrency = 4", *(task(f"t{number}", "sleep 0.02") for number in range(40))]

    with running(tmp_path, *plan) as run:
        run.finish()

        assert _most_at_once(run) == 4
        assert run.report.totals.statuses == {"succeeded": 40}
        assert len(run.events(WorkerExited)) == 40


def test_the_concurrency_of_a_role_holds_for_its_tasks_alone(tmp_path: Path) -> None:
    script = "mkdir lock || exit 1; until [ -e free ]; do sleep 0.005; done; rmdir lock"
    plan = ["[roles.one]\nconcurrency = 1", *(task(f"o{number}", script, role="one") for number in range(6))]

    with running(tmp_path, *plan, task("free", "until [ -e lock ]; do sleep 0.005; done; touch free")) as run:
        run.finish()

        assert run.report.totals.statuses == {"succeeded": 7}


def test_a_task_starts_after_the_last_of_its_needs(tmp_path: Path) -> None:
    diamond = [
        task("a", "echo a > order"),
        task("b", "until grep c order; do sleep 0.005; done; sleep 0.05; echo b >> order", needs=["a"]),
        task("c", "grep a order && echo c >> order", needs=["a"]),
        task("d", "echo d >> order", needs=["b", "c"]),
    ]

    with running(tmp_path, *diamond) as run:
        run.finish()

        assert (tmp_path / "order").read_text().split() == ["a", "c", "b", "d"]


def test_retries_follow_each_other_with_growing_pauses_that_are_journalled(tmp_path: Path) -> None:
    script = "echo x >> tries; [ $(wc -l < tries) -gt 3 ]"

    with running(tmp_path, task("a", script, retries=4, backoff="20ms")) as run:
        run.finish()

        changes = run.events(TaskStatusChanged, "a")
        assert [change.status for change in changes] == ["running", "retrying"] * 3 + ["running", "succeeded"]
        retries = [change for change in changes if change.status == "retrying"]
        assert [(change.attempt, change.reason) for change in retries] == [
            (1, "exit code 1"),
            (2, "exit code 1"),
            (3, "exit code 1"),
        ]
        pauses = [change.retry_at - change.at for change in retries if change.retry_at is not None]
        assert all(0 < pause <= 0.02 * 2**number for number, pause in enumerate(pauses))
        assert run.events(WorkerStarted, "a")[3].at - retries[2].at > 0.02
        assert [attempt.code for attempt in run.task("a").attempts] == [1, 1, 1, 0]


def test_a_task_that_fails_to_the_last_skips_what_needs_it(tmp_path: Path) -> None:
    plan = [
        task("a", "echo try >&2; exit 7", retries=1, backoff="1ms"),
        task("b", ["true"], needs=["a"]),
        task("c", ["true"], needs=["b"]),
        task("d", ["true"]),
    ]

    with running(tmp_path, *plan) as run:
        run.finish(1)

        assert [(each.status, each.reason) for each in run.report.tasks] == [
            ("failed", "exit code 7"),
            ("skipped", 'needs "a", which failed'),
            ("skipped", 'needs "b", skipped because "a" failed'),
            ("succeeded", ""),
        ]
        assert [run.spool("a", number, "stderr") for number in (1, 2)] == [b"try\n", b"try\n"]
        assert run.events(RunEnded)[0].counts == {"failed": 1, "skipped": 2, "succeeded": 1}


def test_a_failure_that_is_allowed_stops_nobody(tmp_path: Path) -> None:
    with running(tmp_path, task("a", ["false"], allow_failure=True), task("b", ["true"], needs=["a"])) as run:
        run.finish()

        assert [each.status for each in run.report.tasks] == ["failed", "succeeded"]
        assert "(allowed)" in run.stdout.decode()


def test_a_task_that_wants_a_failure_runs_after_one_and_is_skipped_in_order_after_a_success(tmp_path: Path) -> None:
    plan = (
        task("bad", "exit 3", allow_failure=True),
        task("good", "true"),
        task("mend", "true", needs=[{"task": "bad", "on": "failure"}]),
        task("idle", "false", needs=[{"task": "good", "on": "failure"}]),
        task("tidy", "true", needs=[{"task": "idle", "on": "end"}, "mend"]),
    )

    with running(tmp_path, *plan) as run:
        run.finish()

        statuses = {each.id: each.status for each in run.report.tasks}
        assert statuses == {
            "bad": "failed",
            "good": "succeeded",
            "mend": "succeeded",
            "idle": "skipped",
            "tidy": "succeeded",
        }
        assert run.task("idle").reason == 'needs "good" to fail, which succeeded'


def test_with_on_failure_stop_the_first_failure_ends_the_run_as_failed(tmp_path: Path) -> None:
    plan = (
        '[defaults]\non_failure = "stop"',
        task("allowed", "exit 3", allow_failure=True),
        task("long", "touch there; sleep 60", needs=["allowed"]),
        task("bad", "until [ -e there ]; do sleep 0.005; done; exit 3"),
        task("later", "true", needs=["long"]),
    )

    with running(tmp_path, *plan) as run:
        run.finish(1)

        assert run.report.outcome == "failed"
        assert [(run.task(name).status, run.task(name).reason) for name in ("long", "later")] == [
            ("stopped", "killed by SIGTERM"),
            ("stopped", "not started: the run was stopped"),
        ]
        assert 'stopping ("bad" has failed, and on_failure is "stop")' in run.stdout.decode()


def test_a_label_of_which_one_may_run_at_once_is_one_for_all_roles(tmp_path: Path) -> None:
    script = "mkdir lock || exit 1; sleep 0.02; rmdir lock"
    tasks = [task(f"t{number}", script, labels=["lock"], role=f"r{number % 2}") for number in range(6)]
    plan = ["[labels.lock]\nconcurrency = 1\n[roles.r0]\n[roles.r1]\n", *tasks]

    with running(tmp_path, *plan) as run:
        run.finish()

        assert run.report.totals.statuses == {"succeeded": 6}


def test_where_one_may_run_at_once_the_greatest_priority_does(tmp_path: Path) -> None:
    plan = [
        "[defaults]\nconcurrency = 1",
        *(task(f"t{number}", f"echo {number} >> order", priority=number) for number in range(4)),
    ]

    with running(tmp_path, *plan) as run:
        run.finish()

    assert (tmp_path / "order").read_text().split() == ["3", "2", "1", "0"]
