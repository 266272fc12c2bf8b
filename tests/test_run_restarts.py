"""Services: what becomes of a real one that crashes, recovers, or ends too often."""

import os
import re
import signal
from pathlib import Path

import pytest

from protocols.events import AttemptStarting, TaskStatusChanged, WorkerExited, WorkerStarted
from tests.running import SHORT, callboard, python, running

CRASHING = "import sys; print('boom', flush=True); sys.exit(3)"


def test_a_crash_loop_is_parked_after_its_limit_and_says_why(tmp_path: Path) -> None:
    restart = {"when": "always", "limit": 2}
    with running(tmp_path, python("web", CRASHING, backoff="100ms", restart=restart), settings=SHORT) as run:
        run.finish(1)

        task = run.task("web")
        changes = run.events(TaskStatusChanged, "web")
        reason = "exit code 3, after 2 restarts within 1m; correct it and run it again"
        assert (task.status, task.reason, len(task.attempts)) == ("parked", reason, 3)
        assert [change.status for change in changes] == ["running", "restarting"] * 2 + ["running", "parked"]
        pauses = [change.retry_at - change.at for change in changes if change.retry_at is not None]
        assert 0.05 <= pauses[0] <= 0.1 <= pauses[1] <= 0.2
        assert f"web: parked: {reason}" in run.stdout.decode()
        assert reason in run.folder.report_markdown.read_text().replace("\\", "")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_service_that_lived_is_back_as_soon_as_its_end_is_known(tmp_path: Path, end: signal.Signals) -> None:
    restart = {"when": "always", "healthy_after": "100ms"}
    living = "import time; time.sleep(0.2); print('up', flush=True); time.sleep(600)"
    with running(tmp_path, python("web", living, restart=restart, backoff="10m"), settings=SHORT) as run:
        run.wait_for_output("web", b"up")
        os.kill(run.wait_for(WorkerStarted, "web").pid, end)
        run.wait_for(WorkerStarted, "web", count=2)

        change = run.events(TaskStatusChanged, "web")[1]
        status = callboard(tmp_path, "status").stdout
        run.signal(signal.SIGINT)
        run.finish(130)
        assert (change.status, change.reason) == ("restarting", f"killed by {end.name}")
        assert (change.retry_at or 0.0) <= change.at
        assert "running" in status
        assert [exited.reason for exited in run.events(WorkerExited, "web")] == ["exit", "stop"]


def test_who_waits_for_a_restart_is_shown_with_the_reason(tmp_path: Path) -> None:
    with running(tmp_path, python("web", CRASHING, backoff="10m", restart="on-failure"), settings=SHORT) as run:
        run.wait_until(lambda: "restarting" in {event.status for event in run.events(TaskStatusChanged)})

        status = callboard(tmp_path, "status").stdout
        run.signal(signal.SIGTERM)
        run.finish(130)
        assert "restarting" in status
        assert re.search(r"attempt 2 in [0-9.ms]+: exit code 3", status)
        assert run.task("web").status == "stopped"


def test_who_ends_well_under_on_failure_is_done_and_lets_others_start(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    script = "import os, sys; sys.exit(0 if not os.path.exists('flag') else os.unlink('flag') or 1)"
    web = python("web", script, backoff="100ms", restart="on-failure")
    with running(tmp_path, web, python("after", "", needs=["web"]), settings=SHORT) as run:
        run.finish(0)

        assert len(run.events(AttemptStarting, "web")) == 2
        assert run.task("after").status == "succeeded"
