"""Workers in a tmux server of the fleet's own: what may happen to pane, client and server, and what is told of it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors.keeper_process.ancestry import descendants
from protocols.adoption_events import WorkerAdopted
from protocols.events import AttemptStarting, WorkerExited, WorkerGap, WorkerStarted
from protocols.kinds import Source
from protocols.pane import WorkerPane
from tests.keeper_client import is_alive, wait_until_gone
from tests.process_trees import wait_until
from tests.require import needs
from tests.running import CALLBOARD, RunningPlan, callboard, python, running, task

pytestmark = pytest.mark.deadline(90)

_TMUX: dict[str, Source] = {"source": "tmux"}
_UNTIL_GO = "while [ ! -e go ]; do sleep 0.02; done"


@pytest.fixture(autouse=True)
def _needs_tmux() -> None:
    needs("tmux", "install tmux")


def _tmux(pane: WorkerPane, *arguments: str) -> str:
    command = ["tmux", "-N", "-S", pane.socket, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _client(run: RunningPlan) -> int:
    """The pid of the control client of the one worker."""
    pane = run.wait_for(WorkerPane, "a")
    return int(_tmux(pane, "list-clients", "-F", "#{client_pid}"))


def _go(run: RunningPlan) -> None:
    (run.cwd / "go").touch()


def _exited(run: RunningPlan) -> WorkerExited:
    (found,) = run.events(WorkerExited, "a")
    assert found.terminal_bytes == len(run.spool("a", stream="terminal"))
    return found


def test_a_worker_finds_itself_in_tmux_and_in_a_window_of_the_size_that_is_said(tmp_path: Path) -> None:
    script = 'stty size; echo "$TERM $TMUX_PANE"; tmux display-message -p "#{socket_path}"; pwd'
    with running(tmp_path, task("a", script, window="91x17", **_TMUX)) as run:
        run.finish()

        pane = run.wait_for(WorkerPane, "a")
        lines = run.spool("a", stream="terminal").decode().split("\r\n")
        assert lines == ["17 91", "screen-256color %0", pane.socket, str(tmp_path), ""]
        assert (pane.adopted, pane.reading) == (False, "control")


def test_every_variable_and_argument_arrives_as_it_is(tmp_path: Path) -> None:
    value = "ä '\"$HOME; #{pid} \\ ~" + "x" * 50_000
    script = "import hashlib, os, sys; print(hashlib.sha256((os.environ['A'] + sys.argv[1]).encode()).hexdigest())"
    command = [sys.executable, "-I", "-S", "-c", script, value]
    with running(tmp_path, task("a", command, env={"A": value}, **_TMUX)) as run:
        run.finish()

        told = subprocess.run([*command[:-1], value], env={"A": value}, check=True, capture_output=True).stdout
        assert run.spool("a", stream="terminal").strip() == told.strip()


def test_a_killed_control_client_is_told_and_replaced_and_no_status_is_lost(tmp_path: Path) -> None:
    script = f"echo one; {_UNTIL_GO}; echo two; exit 7"
    with running(tmp_path, task("a", script, **_TMUX)) as run:
        run.wait_for_output("a", b"one\r\n", "terminal")
        os.kill(_client(run), signal.SIGKILL)
        run.wait_for(WorkerPane, "a", 3)
        _go(run)
        run.finish(1)

        assert [pane.reading for pane in run.events(WorkerPane, "a")] == ["control", "polling", "control"]
        first, second = run.events(WorkerGap, "a")
        assert (first.offset, first.lost) == (5, None) and "control client is gone" in first.why
        assert "new control client" in second.why
        assert run.spool("a", stream="terminal") == b"one\r\ntwo\r\n"
        assert _exited(run).code == 7


def test_while_there_is_no_control_client_what_is_on_the_screen_is_read(tmp_path: Path) -> None:
    script = f"echo one; {_UNTIL_GO}; for n in 1 2 3; do echo line $n; done; sleep 1000"
    with running(tmp_path, task("a", script, **_TMUX)) as run:
        run.wait_for_output("a", b"one\r\n", "terminal")
        pane = run.wait_for(WorkerPane, "a")
        _tmux(pane, "set-hook", "-g", "client-attached", "detach-client -a")  # none stays for long
        _tmux(pane, "set-hook", "-ga", "client-attached", "detach-client")
        os.kill(_client(run), signal.SIGKILL)
        run.wait_until(lambda: run.events(WorkerPane, "a")[-1].reading == "polling")
        _go(run)
        run.wait_for_output("a", b"line 3", "terminal")
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert b"line 1\r\nline 2\r\nline 3\r\n" in run.spool("a", stream="terminal")
        assert _exited(run).reason == "stop"


@pytest.mark.parametrize(
    ("how", "what"), [("kill-server", "the tmux server is gone"), ("kill-pane", "closed its pane")]
)
def test_a_worker_whose_terminal_is_taken_away_ends_and_the_reason_is_told(tmp_path: Path, how: str, what: str) -> None:
    script = "trap '' HUP; echo up; while :; do sleep 0.1; done"
    with running(tmp_path, task("a", script, grace="100ms", **_TMUX)) as run:
        run.wait_for_output("a", b"up", "terminal")
        _tmux(run.wait_for(WorkerPane, "a"), how)
        run.finish(1)

        exited = _exited(run)
        assert exited.reason == "lost" and what in exited.error
        (gap,) = run.events(WorkerGap, "a")
        assert what in gap.why


def test_after_a_kill_of_the_server_the_next_worker_gets_another_one(tmp_path: Path) -> None:
    plan = [
        task("a", "echo up; sleep 1000", grace="100ms", allow_failure=True, **_TMUX),
        task("b", "echo again", needs=["a"], **_TMUX),
    ]
    with running(tmp_path, *plan) as run:
        run.wait_for_output("a", b"up", "terminal")
        _tmux(run.wait_for(WorkerPane, "a"), "kill-server")
        run.finish()

        assert run.spool("b", stream="terminal") == b"again\r\n"


def test_workers_that_come_and_go_at_once_do_not_crash_their_server(tmp_path: Path) -> None:
    """tmux 3.3a does, when it has something to tell a control client that has only half connected."""
    with running(tmp_path, *(task(f"t{number}", "exit 3", **_TMUX) for number in range(40))) as run:
        run.finish(1)

        assert {exited.code for exited in run.events(WorkerExited)} == {3}
        assert not run.events(WorkerGap)


def test_nothing_of_the_server_is_left_at_the_end_of_the_run(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo up; {_UNTIL_GO}", **_TMUX)) as run:
        run.wait_for_output("a", b"up", "terminal")
        server = int(_tmux(run.wait_for(WorkerPane, "a"), "display-message", "-p", "#{pid}"))
        holders = [process.pid for process in descendants(server)]
        _go(run)
        run.finish()

        assert holders
        assert not any(map(is_alive, (server, *holders)))


def test_a_path_that_is_too_long_for_a_socket_is_no_hindrance(tmp_path: Path) -> None:
    cwd = tmp_path / ("x" * 120)
    cwd.mkdir()
    with running(cwd, task("a", "echo up", **_TMUX)) as run:
        run.finish()

        assert run.spool("a", stream="terminal") == b"up\r\n"
        assert "/callboard-" in run.wait_for(WorkerPane, "a").socket


def test_without_tmux_a_task_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("sh", "sleep"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
    (tmp_path / "plan.toml").write_text(task("a", "true", **_TMUX))

    done = subprocess.run(
        [CALLBOARD, "check", "plan.toml"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == ("error: plan.toml: tasks[0].source: tmux is not installed; install tmux 3.2 or later\n")


def test_a_durable_worker_is_taken_up_again_in_its_pane(tmp_path: Path) -> None:
    script = "import os, time\nprint('one', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('two')"
    with running(tmp_path, python("a", script, durable=True, **_TMUX)) as run:
        run.wait_for_output("a", b"one\r\n", "terminal")
        worker = run.wait_for(WorkerStarted, "a").pid
        run.wait_for(WorkerPane, "a")
        run.signal(signal.SIGKILL)
        run.process.wait()

        resumed = subprocess.Popen([CALLBOARD, "resume", run.fleet.name], cwd=tmp_path, stdout=subprocess.DEVNULL)
        with resumed:
            wait_until(lambda: bool(run.events(WorkerAdopted)) and len(run.events(WorkerPane)) == 2)
            _go(run)
            assert resumed.wait(30) == 0

        assert run.spool("a", stream="terminal") == b"one\r\ntwo\r\n"
        (gap,) = run.events(WorkerGap, "a")
        assert gap.offset == 5 and "while callboard was gone" in gap.why
        assert (_exited(run).code, len(run.events(AttemptStarting))) == (0, 1)
        wait_until_gone(worker)
        callboard(tmp_path, "runs")


def test_what_is_sent_is_typed_and_proved_or_told(tmp_path: Path) -> None:
    reads = f"echo up; read line; echo got $line; {_UNTIL_GO}"
    plan = [task("a", reads, **_TMUX), task("b", "echo up; exec sleep 1000", **_TMUX)]
    with running(tmp_path, *plan) as run:
        for name in "ab":
            run.wait_for_output(name, b"up", "terminal")

        callboard(tmp_path, "send", run.fleet.name, "a", "hello there")
        refused = callboard(tmp_path, "send", run.fleet.name, "b", "hello", code=1)

        run.wait_for_output("a", b"got hello there\r\n", "terminal")
        assert "it does not read its terminal: 6 bytes wait there" in refused.stderr
        run.signal(signal.SIGTERM)
        run.finish(130)
