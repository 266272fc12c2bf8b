"""Real workers and their time: a warning that they can read, an end for who says nothing, waiting that is excepted.

Those that wait take longer than others: what they wait for is the clock.
"""

import signal
import time
from pathlib import Path

import pytest

from protocols.events import TaskStatusChanged, WorkerStarted, WorkerVerdict, WorkerWarned
from tests.require import needs
from tests.running import RunningPlan, callboard, python, resumed, running, task

pytestmark = pytest.mark.deadline(90)  # where the machine is busy, some wait long for their processes
SETTINGS = '[liveness]\nheartbeat = "100ms"\n'
ASKS = "print('Proceed? [y/n] ', end='', flush=True)\nprint('said', input(), flush=True)"


def reason(run: RunningPlan, name: str) -> str:
    return run.task(name).reason


def wait_past(run: RunningPlan, seconds: float) -> None:
    """Until so long after the start of worker a."""
    at = run.wait_for(WorkerStarted, "a").at + seconds
    while time.time() < at:
        time.sleep(0.05)


def test_a_worker_reads_that_its_time_is_over_soon_and_finishes(tmp_path: Path) -> None:
    keys = {"timeout": "1m", "warn_before": "59s", "warning": "Hurry up."}
    needs("bash", "install bash")
    plan = [
        python("pipe", "print('read', input())", stdin="pipe", **keys),
        task("pty", ["bash", "-c", 'stty -echo; read line; echo "read $line"'], source="pty", **keys),
    ]
    with running(tmp_path, *plan, settings=SETTINGS) as run:
        run.finish()

        assert run.spool("pipe") == b"read Hurry up.\n"
        assert b"read Hurry up." in run.spool("pty", stream="terminal")
        for name in ("pipe", "pty"):
            (warned,) = run.events(WorkerWarned, name)
            assert (warned.text, warned.failed, warned.left <= 59.0) == ("Hurry up.", "", True)
        assert b"pipe: warned: 5" in run.stdout


def test_a_warning_that_does_not_arrive_is_told(tmp_path: Path) -> None:
    script = "import os, time\nos.close(0)\ntime.sleep(1000)"
    plan = python("a", script, stdin="pipe", timeout="1m", warn_before="59s")
    with running(tmp_path, plan, settings=SETTINGS) as run:
        failed = run.wait_for(WorkerWarned, "a", count=2).failed
        callboard(tmp_path, "stop", "--force", patience=80.0)

        assert "has closed its input" in failed


def test_who_says_nothing_for_too_long_is_timed_out_and_retried_as_the_plan_says(tmp_path: Path) -> None:
    keys = {"quiet_timeout": "700ms", "grace": "0s", "backoff": "1ms"}
    talker = "import time\nfor n in range(40): print(n, flush=True); time.sleep(0.05)"
    plan = [
        python("silent", "import time; print('x', flush=True); time.sleep(1000)", retry={"timeout": 1}, **keys),
        python("once", "import time; time.sleep(1000)", retries=3, retry={"timeout": 0}, **keys),
        python("talker", talker, **keys),
    ]
    with running(tmp_path, *plan, settings=SETTINGS) as run:
        run.finish(1)

        assert {task.id: (task.status, len(task.attempts)) for task in run.report.tasks} == {
            "silent": ("timed-out", 2),
            "once": ("timed-out", 1),
            "talker": ("succeeded", 1),
        }
        assert reason(run, "once") == "timed out: nothing was heard of it for 700ms, killed by SIGKILL"
        assert run.attempt("silent", 2).reason == "quiet"


@pytest.mark.parametrize("source", ["pipe", "pty"])
def test_time_in_which_a_worker_waits_for_an_answer_is_no_part_of_its_timeout(tmp_path: Path, source: str) -> None:
    keys = {"timeout": "6s", "quiet_timeout": "5s", "counts_waiting": False}
    keys |= {"stdin": "pipe"} if source == "pipe" else {"source": "pty"}
    with running(tmp_path, python("a", ASKS, **keys), settings=SETTINGS) as run:
        wait_past(run, 8.0)
        callboard(tmp_path, "send", run.fleet.name, "a", "yes")
        run.finish()

        assert b"said yes" in run.spool("a", stream="stdout" if source == "pipe" else "terminal")


def test_else_it_is(tmp_path: Path) -> None:
    with running(tmp_path, python("a", ASKS, timeout="2s", stdin="pipe", grace="0s"), settings=SETTINGS) as run:
        run.wait_for(WorkerVerdict, "a")
        run.finish(1)

        assert reason(run, "a").startswith("timed out after 2s")


def test_what_was_excepted_holds_when_callboard_is_killed(tmp_path: Path) -> None:
    keys = {"timeout": "14s", "counts_waiting": False, "stdin": "pipe", "durable": True}
    with running(tmp_path, python("a", ASKS, **keys), settings=SETTINGS) as run:
        run.wait_until(lambda: any(each.state == "waiting-permission" for each in run.events(WorkerVerdict, "a")))
        wait_past(run, 6.0)
        run.signal(signal.SIGKILL)
        run.process.wait()
        with resumed(tmp_path) as again:
            wait_past(again, 16.0)
            callboard(tmp_path, "send", again.fleet.name, "a", "yes")
            again.finish()

            assert again.spool("a").endswith(b"said yes\n")
            assert again.events(TaskStatusChanged, "a")[-1].attempt == 1
