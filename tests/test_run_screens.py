"""Real programs on terminals: what they show is seen, what they ask is told, and a spinner is no work."""

import json
from pathlib import Path

import pytest

from protocols.events import WorkerVerdict
from tests.require import needs
from tests.running import RunningPlan, callboard, python, running, task

SETTINGS = '[liveness]\nheartbeat = "100ms"\n'
SOON = {"source": "pty", "window": "60x12", "quiet_after": "500ms", "stalled_after": "2s", "grace": "0s"}
SPINNER = """
import itertools, time
started = time.monotonic()
for sign in itertools.cycle('|/-+'):
    print(f'\\r{sign} thinking ({time.monotonic() - started:.0f}s)', end='', flush=True)
    time.sleep(0.02)
"""


def verdict(run: RunningPlan, name: str, state: str) -> WorkerVerdict:
    run.wait_until(lambda: any(event.state == state for event in run.events(WorkerVerdict, name)))
    return next(event for event in run.events(WorkerVerdict, name) if event.state == state)


def screen(run: RunningPlan, name: str) -> list[str]:
    said = callboard(run.cwd, "screen", run.fleet.name, name)
    return said.stdout.split("\n")[:-1]


def test_a_question_on_a_terminal_is_told_and_is_no_stall(tmp_path: Path) -> None:
    needs("bash", "install bash")
    plan = task("a", ["bash", "-c", 'echo begun; read -p "Do you want to proceed? (y/n) " answer'], **SOON)
    with running(tmp_path, plan, python("b", SPINNER, **SOON), settings=SETTINGS) as run:
        asks = verdict(run, "a", "waiting-permission")
        verdict(run, "b", "stalled")

        shown = screen(run, "a")
        status = callboard(tmp_path, "status").stdout
        callboard(tmp_path, "stop", "--force")

        assert asks.reasons[0].endswith(': "Do you want to proceed? (y/n)"')
        assert not [event for event in run.events(WorkerVerdict, "a") if event.state in ("quiet", "stalled")]
        assert shown == ["begun", "Do you want to proceed? (y/n)"]
        assert "waiting-permission" in status


def test_a_spinner_that_repaints_for_ever_is_a_stall(tmp_path: Path) -> None:
    with running(tmp_path, python("a", SPINNER, **SOON), settings=SETTINGS) as run:
        stalled = verdict(run, "a", "stalled")
        callboard(tmp_path, "stop", "--force")

        assert stalled.confirmed
        assert any("its output has only repeated itself" in reason for reason in stalled.reasons)


def test_a_pager_at_the_end_of_its_text_asks_for_a_person(tmp_path: Path) -> None:
    needs("less", "install less")
    (tmp_path / "text").write_text("".join(f"line {number}\n" for number in range(1, 9)))
    with running(tmp_path, task("a", ["less", "text"], **SOON), settings=SETTINGS) as run:
        asks = verdict(run, "a", "waiting-permission")

        shown = json.loads(callboard(tmp_path, "screen", run.fleet.name, "a", "--json").stdout)
        callboard(tmp_path, "stop", "--force")

        assert any("(END)" in reason for reason in asks.reasons)
        assert shown["lines"][:8] == [f"line {number}" for number in range(1, 9)]
        assert (shown["columns"], shown["rows"], shown["settled"]) == (60, 12, True)


@pytest.mark.parametrize("ended", [False, True])
def test_a_screen_is_shown_while_its_task_runs_and_afterwards(tmp_path: Path, ended: bool) -> None:
    script = "import sys, time; print('\\x1b[2J\\x1b[2;3Hhere', end='', flush=True); time.sleep(1000)"
    with running(tmp_path, python("a", script, **SOON)) as run:
        run.wait_for_output("a", b"here", "terminal")
        if ended:
            callboard(tmp_path, "stop", "--force")
            run.wait()

        assert screen(run, "a") == ["", "  here"]
        run.signal(2)


def test_a_task_without_a_terminal_has_no_screen(tmp_path: Path) -> None:
    with running(tmp_path, python("a", "")) as run:
        run.finish()

        said = callboard(tmp_path, "screen", run.fleet.name, "a", code=2).stderr

        assert said.startswith('error: task "a": it did not run on a terminal; ')
