"""What a run tells of workers that stand still, compute, ask, turn a spinner or lost their first process."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocols.events import WorkerExited, WorkerVerdict
from protocols.fleet_events import KeeperStarted
from protocols.liveness_states import State
from tests.running import RunningPlan, callboard, python, running, task
from tests.sources import PIPE, PTY

LOOKS = '[liveness]\nheartbeat = "300ms"\n'
SOON = '[defaults]\nquiet_after = "600ms"\nstalled_after = "2s"'
SUSPECT = '[defaults]\nquiet_after = "600ms"\nstalled_after = "10m"'
SILENT = task("silent", ["sleep", "600"])
SPINNER = r"""while :; do for c in '|' '/' '-' '\'; do printf '\r%s Thinking' "$c"; sleep 0.05; done; done"""
ASKS = "printf 'Proceed? [y/n] '; sleep 600"
ORPHANS = "import os, signal\nif os.fork() == 0: os._exit(0)\nsignal.pause()"


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlan]:
    """A run in which it takes seconds until all is told that is to be told, so all who read that share it."""
    plan = [
        SOON,
        SILENT,
        task("busy", "(while :; do :; done) & wait"),
        task("noise", "while :; do head -c 30 /dev/urandom; sleep 0.1; done"),
        python("orphans", ORPHANS),
        task("patient", "sleep 600", quiet_after="1h", stalled_after="2h"),
        *(kind.shell(f"spins-{kind.source}", SPINNER) for kind in (PIPE, PTY)),
        *(kind.shell(f"asks-{kind.source}", ASKS) for kind in (PIPE, PTY)),
    ]
    with running(tmp_path_factory.mktemp("long"), *plan, settings=LOOKS) as run:
        for name in ("silent", "orphans", *(f"spins-{kind.source}" for kind in (PIPE, PTY))):
            wait_for_state(run, name, "stalled")
        yield run


def wait_for_state(run: RunningPlan, name: str, state: State) -> WorkerVerdict:
    """The first verdict of a worker that says so."""

    def found() -> list[WorkerVerdict]:
        return [verdict for verdict in run.events(WorkerVerdict, name) if verdict.state == state]

    run.wait_until(lambda: bool(found()))
    return found()[0]


def states(run: RunningPlan, name: str) -> list[State]:
    return [verdict.state for verdict in run.events(WorkerVerdict, name)]


def status_line(run: RunningPlan, name: str) -> str:
    lines = callboard(run.cwd, "status").stdout.splitlines()
    return next(line for line in lines if line.startswith(name))


def wait_for_status(run: RunningPlan, name: str, condition: Callable[[str], bool]) -> str:
    """What `callboard status` says of a task, once that is so."""
    found: list[str] = []

    def holds() -> bool:
        found.append(status_line(run, name))
        return condition(found[-1])

    run.wait_until(holds)
    return found[-1]


def test_a_silent_worker_stands_still_and_each_command_says_so_until_it_goes_on(tmp_path: Path) -> None:
    script = "until [ -e go ]; do sleep 0.1; done; echo hello; until [ -e end ]; do sleep 0.1; done"

    with running(tmp_path, SOON, task("a", script), settings=LOOKS) as run:
        stalled = wait_for_state(run, "a", "stalled")
        assert "quiet" in states(run, "a")[: states(run, "a").index("stalled")]
        assert stalled.confirmed
        assert stalled.reasons[0].startswith("no output since it was started 2")
        line = wait_for_status(run, "a", lambda line: "stalled for" in line)
        assert "that began with: no output since it was started" in line
        seen = json.loads(callboard(tmp_path, "status", "--json").stdout)["tasks"][0]["verdict"]
        told = [[each.state, each.confirmed, list(each.reasons), each.at] for each in run.events(WorkerVerdict, "a")]
        assert [seen["state"], seen["confirmed"], seen["reasons"], seen["at"]] in told
        (tmp_path / "go").touch()
        run.wait_until(lambda: states(run, "a")[-1] == "working")
        (tmp_path / "end").touch()
        run.finish()

        assert b" a: stalled: no output since it was started" in run.stdout
        assert b" a: goes on (working)\n" in run.stdout
        attempt = run.attempt("a")
        assert attempt.stalled_seconds > 0
        assert "stalled for" in callboard(tmp_path, "report").stdout
        assert "stalled for" in run.folder.report_markdown.read_text()


def test_a_silence_that_is_only_suspected_is_told_to_who_asks_and_not_in_the_lines(tmp_path: Path) -> None:
    with running(tmp_path, SUSPECT, SILENT, settings=LOOKS) as run:
        quiet = wait_for_state(run, "silent", "quiet")
        line = wait_for_status(run, "silent", lambda line: "quiet for" in line)

        assert not quiet.confirmed
        assert "of 10m; nobody suspected it before" in line
        assert b"quiet" not in run.stdout


def test_while_the_keeper_is_frozen_nobody_knows_and_afterwards_everybody_does_again(tmp_path: Path) -> None:
    script = "while :; do date +%N; sleep 0.1; done"

    with running(tmp_path, SUSPECT, task("a", script), settings=LOOKS) as run:
        wait_for_state(run, "a", "working")
        keeper = run.wait_for(KeeperStarted).pid
        os.kill(keeper, signal.SIGSTOP)
        try:
            unknown = wait_for_state(run, "a", "unknown")
            told = status_line(run, "a")
        finally:
            os.kill(keeper, signal.SIGCONT)
        run.wait_until(lambda: states(run, "a")[-1] == "working")

        assert not unknown.confirmed
        assert unknown.reasons[0].startswith("who reads its output has not been heard of for")
        assert "unknown for" in told


def test_what_an_agent_does_is_read_from_what_it_prints(tmp_path: Path) -> None:
    agent = tmp_path / "claude"
    lines = {
        "reading": '{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Read","input":{}}]}}',
        "thinking": '{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"so"}}',
        "testing": '{"type":"assistant","message":{"content":[{"name":"Bash","input":{"command":"pytest -q"}}]}}',
        "working": '{"type":"assistant","message":{"content":[{"name":"Bash","input":{"command":"ls"}}]}}',
    }
    steps = f"import os, time\nfor state, line in {lines!r}.items():\n"
    steps += "    print(line, flush=True)\n    while not os.path.exists(state): time.sleep(0.02)\n"
    agent.write_text(f"#!{sys.executable} -IS\n{steps}")
    agent.chmod(0o700)

    plan = task("a", ["./claude"], quiet_after="3s", stalled_after="10m")
    with running(tmp_path, plan, settings=LOOKS) as run:
        for state in lines:
            wait_for_state(run, "a", state)  # type: ignore[arg-type] # a key
            (tmp_path / state).touch()
        run.finish()

        told = [state for state in states(run, "a") if state in lines]
        assert list(dict.fromkeys(told)) == list(lines)


def test_a_kill_of_callboard_leaves_what_was_known_then(tmp_path: Path) -> None:
    with running(tmp_path, SOON, SILENT, settings=LOOKS) as run:
        wait_for_state(run, "silent", "stalled")
        run.signal(signal.SIGKILL)
        run.wait()

        line = status_line(run, "silent")
        assert "it was stalled: no output since it was started" in line
        seen = json.loads(callboard(tmp_path, "status", "--json").stdout)["tasks"][0]["verdict"]
        assert seen["state"] == "stalled"
        assert run.attempt("silent").stalled_seconds >= 0


def test_a_heartbeat_that_is_long_changes_no_end_of_a_run(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "echo hello"), settings='[liveness]\nheartbeat = "60s"\n') as run:
        run.finish()

        assert run.events(WorkerVerdict) == []


def test_figures_that_contradict_each_other_are_told_before_anything_starts(tmp_path: Path) -> None:
    plan = task("a", ["true"], quiet_after="10m", stalled_after="1m")

    with running(tmp_path, plan) as run:
        run.wait()

        assert "tasks[0]" in run.stderr
        assert "a worker is quiet first: make stalled_after the longer one" in run.stderr


def test_a_silent_worker_with_a_busy_child_is_at_work(long: RunningPlan) -> None:
    assert not {"quiet", "stalled"} & set(states(long, "busy"))


@pytest.mark.parametrize("source", [kind.source for kind in (PIPE, PTY)])
def test_a_spinner_that_turns_for_ever_is_no_progress(long: RunningPlan, source: str) -> None:
    stalled = wait_for_state(long, f"spins-{source}", "stalled")

    assert any(reason.startswith("its output has only repeated itself since") for reason in stalled.reasons)
    assert states(long, f"spins-{source}")[0] == "thinking"


def test_output_without_meaning_is_output(long: RunningPlan) -> None:
    assert not {"quiet", "stalled"} & set(states(long, "noise"))


@pytest.mark.parametrize("source", [kind.source for kind in (PIPE, PTY)])
def test_who_asks_waits_for_its_answer_however_long_that_takes(long: RunningPlan, source: str) -> None:
    asked = wait_for_state(long, f"asks-{source}", "waiting-permission")
    line = wait_for_status(long, f"asks-{source}", lambda line: "waiting-permission" in line)

    assert asked.reasons[0].endswith('ago: "Proceed? [y/n]"')
    assert "it asked for an answer" in line
    assert not {"quiet", "stalled"} & set(states(long, f"asks-{source}"))


def test_a_child_that_ended_and_nobody_waits_for_is_told(long: RunningPlan) -> None:
    stalled = wait_for_state(long, "orphans", "stalled")

    assert "1 of its children ended and it does not wait for them" in stalled.reasons


def test_each_task_has_its_own_patience(long: RunningPlan) -> None:
    assert not {"quiet", "stalled"} & set(states(long, "patient"))


def test_who_was_answered_is_at_work(tmp_path: Path) -> None:
    script = (
        "printf 'Proceed? [y/n] '; until [ -e go ]; do sleep 0.1; done; echo y; until [ -e end ]; do sleep 0.1; done"
    )

    with running(tmp_path, task("a", script), settings=LOOKS) as run:
        wait_for_state(run, "a", "waiting-permission")
        (tmp_path / "go").touch()
        run.wait_until(lambda: states(run, "a")[-1] == "working")
        (tmp_path / "end").touch()
        run.finish()


def test_a_worker_whose_first_process_is_gone_is_not_at_work_and_nobody_says_how_it_ended(tmp_path: Path) -> None:
    script = "(until [ -e go ]; do sleep 0.1; done) & until [ -e leave ]; do sleep 0.1; done"

    with running(tmp_path, task("a", script), settings=f'{LOOKS}[stop]\nlinger = "10m"\n') as run:
        run.wait_for(WorkerVerdict, "a")
        (tmp_path / "leave").touch()
        unknown = wait_for_state(run, "a", "unknown")
        before = run.events(WorkerExited)
        (tmp_path / "go").touch()
        run.finish()

        assert unknown.reasons[0].startswith("its first process ended")
        assert any(reason.endswith("of its processes still run") for reason in unknown.reasons)
        assert before == []
        assert run.task("a").status == "succeeded"
