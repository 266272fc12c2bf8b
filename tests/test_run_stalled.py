"""Real workers that stand still: what a plan says is done about them, each step on record."""

from pathlib import Path

import pytest

from protocols.events import TaskStatusChanged, WorkerAction
from tests.require import needs
from tests.running import RunningPlan, callboard, python, running, task

SETTINGS = '[liveness]\nheartbeat = "100ms"\n'
SOON = {"quiet_after": "300ms", "stalled_after": "1s", "stalled_pause": "500ms", "grace": "0s"}
DEAF = "import signal, time\nsignal.signal(signal.SIGINT, lambda *_: None)\nwhile True: time.sleep(1000)"


def done(run: RunningPlan, name: str) -> list[str]:
    return [event.action for event in run.events(WorkerAction, name) if not event.failed]


def test_a_stuck_worker_on_a_terminal_is_nudged_and_goes_on(tmp_path: Path) -> None:
    needs("bash", "install bash")
    script = 'stty -echo; read answer; echo "nudged by <$answer>"'
    plan = task("a", ["bash", "-c", script], source="pty", on_stalled=["tell", "nudge"], nudge="go on", **SOON)
    with running(tmp_path, plan, settings=SETTINGS) as run:
        run.finish()

        assert done(run, "a") == ["tell", "nudge"]
        assert b"nudged by <go on>" in run.spool("a", stream="terminal")
        assert run.attempt("a").actions == ("nudged",)
        assert b"a: nudged: silent for " in run.stdout


def test_a_worker_that_reads_a_pipe_is_nudged_too(tmp_path: Path) -> None:
    plan = python("a", "print(input())", stdin="pipe", on_stalled=["nudge"], nudge="go on", **SOON)
    with running(tmp_path, plan, settings=SETTINGS) as run:
        run.finish()

        assert run.spool("a") == b"go on\n"


def test_a_worker_that_sleeps_is_interrupted_as_by_ctrl_c(tmp_path: Path) -> None:
    script = "import time\ntry: time.sleep(1000)\nexcept KeyboardInterrupt: print('awake')"
    plan = [python(name, script, source=name, on_stalled=["interrupt"], **SOON) for name in ("pipe", "pty")]
    with running(tmp_path, *plan, settings=SETTINGS) as run:
        run.finish()

        assert run.spool("pipe") == b"awake\n"
        assert b"awake" in run.spool("pty", stream="terminal")


@pytest.mark.parametrize("source", ["pipe", "pty"])
def test_a_worker_that_ignores_all_is_started_again_and_then_given_up(tmp_path: Path, source: str) -> None:
    every = ["tell", "nudge", "interrupt", "restart", "fail"]
    plan = python("a", DEAF, source=source, on_stalled=every, backoff="0s", **SOON)
    with running(tmp_path, plan, python("b", "", needs=["a"]), settings=SETTINGS) as run:
        run.finish(1)

        actions = run.events(WorkerAction, "a")
        ends = [event for event in run.events(TaskStatusChanged, "a") if event.status != "running"]
        assert [event.action for event in actions] == every
        assert [event.failed for event in actions if event.failed] == ["it has no input"] * (source == "pipe")
        assert [(end.status, end.attempt) for end in ends] == [("retrying", 1), ("failed", 2)]
        assert ends[-1].reason.startswith("stalled: silent for ")
        assert [attempt.reason for attempt in run.task("a").attempts] == ["stalled", "stalled"]
        assert run.task("b").status == "skipped"


def test_by_default_a_stall_is_told_and_nothing_else_is_done(tmp_path: Path) -> None:
    with running(tmp_path, python("a", DEAF, **SOON), settings=SETTINGS) as run:
        run.wait_for(WorkerAction, "a")
        status = callboard(tmp_path, "status").stdout
        callboard(tmp_path, "stop", "--force")

        assert "stalled" in status
        assert done(run, "a") == ["tell"]
        assert run.attempt("a").reason == "stop"


def test_a_mistake_in_what_is_to_be_done_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(python("a", "", on_stalled=["nugde", "fail", "tell"], nudge="x" * 1001))

    said = callboard(tmp_path, "run", "plan.toml", code=2).stderr

    assert 'plan.toml: tasks[0].on_stalled: no action "nugde"; did you mean "nudge"?' in said
    assert '"tell" after "fail" is never reached' in said
    assert "plan.toml: tasks[0].nudge: longer than 1000 bytes" in said
