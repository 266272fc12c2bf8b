"""Workers of a real run that take more than they may: what its records and its report say."""

import signal
from pathlib import Path

from protocols.events import SpoolBlocked, TaskStatusChanged, WorkerStopping
from tests.running import callboard, python, running
from tests.test_keeper_limits import BURNER, FLOOD, HOG


def test_a_memory_hog_fails_with_figures_and_is_tried_again(tmp_path: Path) -> None:
    with running(tmp_path, python("hog", HOG, limits={"memory": "100MB"}, retries=1, backoff="0s")) as run:
        run.finish(1)

        task, attempt = run.task("hog"), run.attempt("hog", 2)
        assert (task.status, len(task.attempts)) == ("failed", 2)
        assert task.reason.startswith("its 1 process used ")
        assert task.reason.endswith(" of memory, more than 100 MB; killed by SIGKILL")
        assert (attempt.reason, attempt.error) == ("memory", task.reason.removesuffix("; killed by SIGKILL"))
        assert "more than 100 MB: KILL now" in run.stdout.decode()
        assert "more than 100 MB" in run.folder.report_markdown.read_text()


def test_limits_of_a_role_hold_for_its_tasks(tmp_path: Path) -> None:
    role = '[roles.small]\nlimits = { cpu_time = "200ms" }'
    with running(tmp_path, role, python("burner", BURNER, role="small")) as run:
        run.finish(1)

        assert run.attempt("burner").reason == "cpu-time"
        assert run.task("burner").reason.endswith("of CPU time, more than 0.2 s; killed by SIGTERM")


def test_a_flooder_is_shown_to_wait_and_a_stop_ends_it_with_all_of_its_output(tmp_path: Path) -> None:
    with running(tmp_path, python("flooder", FLOOD, limits={"spool_limit": "1MB"})) as run:
        blocked = run.wait_for(SpoolBlocked, "flooder")
        status = callboard(tmp_path, "status").stdout
        run.signal(signal.SIGINT)
        run.finish(130)

        assert (blocked.error, blocked.retried) == ("its spool_limit of 1 MB is reached", False)
        assert "its spool_limit of 1 MB is reached" in status
        assert "flooder: stdout waits: its spool_limit of 1 MB is reached" in run.stdout.decode()
        assert run.task("flooder").status == "stopped"
        assert run.attempt("flooder").stdout.bytes == len(run.spool("flooder")) >= 1_000_000


def test_a_flooder_that_is_to_fail_at_its_limit_does(tmp_path: Path) -> None:
    limits = {"spool_limit": "1MB", "at_spool_limit": "fail"}
    with running(tmp_path, python("flooder", FLOOD, limits=limits)) as run:
        run.finish(1)

        assert run.task("flooder").reason == "its spool_limit of 1 MB is reached; killed by SIGTERM"
        assert run.attempt("flooder").reason == "spool-limit"
        assert [stopping.reason for stopping in run.events(WorkerStopping)] == ["spool-limit"]


def test_a_service_that_always_takes_too_much_is_parked_with_that_reason(tmp_path: Path) -> None:
    restart = {"when": "on-failure", "limit": 1}
    web = python("web", HOG, limits={"memory": "60MB"}, restart=restart, backoff="100ms")
    with running(tmp_path, web) as run:
        run.finish(1)

        last = run.events(TaskStatusChanged, "web")[-1]
        assert last.status == "parked"
        assert "of memory, more than 60 MB; killed by SIGKILL, after 1 restart within 1m" in last.reason
