"""``callboard watch-run``: the run of another process, shown as if it were one's own."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocols.events import RunEnded, WorkerStarted
from tests.process_trees import wait_until
from tests.running import CALLBOARD, RunningPlan, callboard, running, task
from tests.tmux import open_tmux

_UNTIL_GO = "while [ ! -e go ]; do sleep 0.02; done"


@contextmanager
def watching(run: RunningPlan, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that looks on; what it prints goes to a pipe."""
    command = [str(CALLBOARD), "watch-run", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=run.cwd, stdout=pipe, stderr=pipe, bufsize=0) as watcher:
        try:
            yield watcher
        finally:
            watcher.kill()


def printed(watcher: subprocess.Popen[bytes]) -> str:
    """All of it, to its end."""
    out, err = watcher.communicate(timeout=25)
    assert err == b""
    return out.decode()


def test_it_shows_the_lines_of_the_run_itself_and_has_its_exit_code(tmp_path: Path) -> None:
    plan = (task("good", f"echo one; {_UNTIL_GO}; echo two"), task("bad", "exit 3", needs=["good"]))
    with running(tmp_path, *plan, options=("--show-output",)) as run:
        run.wait_for_output("good", b"one\n")
        with watching(run, "--show-output") as first, watching(run, "--show-output") as second:
            assert first.stdout is not None
            begun = first.stdout.readline().decode()
            (tmp_path / "go").touch()
            shown = [begun + printed(first), printed(second)]
            code = run.wait()

    assert shown == [run.stdout.decode()] * 2
    assert (code, first.returncode, second.returncode) == (1, 1, 1)


def test_records_come_as_they_are_in_the_journal(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        run.wait_for_output("a", b"one\n")
        with watching(run, "--output", "json") as watcher:
            (tmp_path / "go").touch()
            told = [json.loads(line)["seq"] for line in printed(watcher).splitlines()]
        run.finish()

    assert told == [record.seq for record in run.records()]


def test_a_run_that_has_ended_is_told_at_once(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "echo one")) as run:
        run.finish()

    done = callboard(tmp_path, "watch-run")

    assert done.stdout == run.stdout.decode()


def test_a_run_that_was_killed_is_told_as_interrupted(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        run.wait_for_output("a", b"one\n")
        with watching(run) as watcher:
            assert watcher.stdout is not None
            watcher.stdout.readline()
            run.signal(signal.SIGKILL)
            run.wait()
            shown = printed(watcher)

    assert "run " in shown and ": interrupted (" in shown
    assert watcher.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_leaves_changes_nothing_for_the_run(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        run.wait_for_output("a", b"one\n")
        with watching(run) as watcher:
            assert watcher.stdout is not None
            watcher.stdout.readline()
            watcher.send_signal(number)
            printed(watcher)
        (tmp_path / "go").touch()
        run.finish()

    assert watcher.returncode == 130
    assert [event.outcome for event in run.events(RunEnded)] == ["succeeded"]


def test_a_supervisor_that_is_stopped_is_told(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        run.wait_for_output("a", b"one\n")
        with watching(run) as watcher:
            assert watcher.stderr is not None
            run.signal(signal.SIGSTOP)
            stopped = watcher.stderr.readline().decode()
            run.signal(signal.SIGCONT)
            goes_on = watcher.stderr.readline().decode()
            (tmp_path / "go").touch()
            printed(watcher)
        run.finish()

    assert f"(pid {run.process.pid}) is stopped, its workers go on" in stopped
    assert goes_on == "warning: the supervisor goes on\n"


def test_a_supervisor_that_is_killed_while_it_is_stopped_does_not_go_on(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        run.wait_for_output("a", b"one\n")
        with watching(run) as watcher:
            assert watcher.stderr is not None
            run.signal(signal.SIGSTOP)
            stopped = watcher.stderr.readline().decode()
            run.signal(signal.SIGKILL)
            run.wait()
            shown = printed(watcher)

    assert "is stopped" in stopped
    assert ": interrupted (" in shown


def test_it_ends_when_nobody_reads_it_any_more(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        run.wait_for_output("a", b"one\n")
        with watching(run, "--show-output") as watcher:
            assert watcher.stdout is not None
            watcher.stdout.readline()
            watcher.stdout.close()
            (tmp_path / "go").touch()
            code = watcher.wait(25)
        run.finish()

    assert code in {0, 128 + signal.SIGPIPE}  # 0: the run had ended before the pipe was found to be closed


def test_it_can_look_on_before_there_is_a_journal(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        journal = run.folder.journal
        hidden = journal.with_name("hidden")
        run.wait_for_output("a", b"one\n")
        for part in ("", "-wal", "-shm"):
            Path(f"{journal}{part}").rename(f"{hidden}{part}")
        with watching(run) as watcher:
            wait_until(lambda: Path(f"/proc/{watcher.pid}/cmdline").exists())
            for part in ("-wal", "-shm", ""):
                Path(f"{hidden}{part}").rename(f"{journal}{part}")
            (tmp_path / "go").touch()
            shown = printed(watcher)
        run.finish()

    assert "a: succeeded" in shown


def test_a_run_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "true")) as run:
        run.finish()

    done = callboard(tmp_path, "watch-run", "zzzz", code=2)

    assert re.search(r'error: run "zzzz": there is none in .*; there are: ', done.stderr)


def test_on_a_terminal_it_is_the_same_picture_and_ctrl_c_leaves_it(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        worker = run.wait_for(WorkerStarted, "a").pid
        with open_tmux(tmp_path) as tmux:
            tmux.run("callboard watch-run; echo code=$?")
            tmux.wait_for("│ one")
            seen = tmux.text
            tmux.type("C-c")
            tmux.wait_for("code=130")
            os.kill(worker, 0)
            tmux.run("clear; callboard watch-run; echo code=$?")
            tmux.wait_for("│ one")
            (tmp_path / "go").touch()
            tmux.wait_for("code=0")
            ended = tmux.text
        run.finish()

    assert "Ctrl-C leaves; the run goes on" in seen
    assert "succeeded in" in ended


def test_a_supervisor_that_is_stopped_is_told_in_the_picture(tmp_path: Path) -> None:
    with running(tmp_path, task("a", f"echo one; {_UNTIL_GO}")) as run:
        run.wait_for_output("a", b"one\n")
        with open_tmux(tmp_path) as tmux:
            tmux.run("callboard watch-run; echo code=$?")
            tmux.wait_for("│ one")
            run.signal(signal.SIGSTOP)
            tmux.wait_for(f"the supervisor (pid {run.process.pid}) is stopped, its workers go on")
            run.signal(signal.SIGCONT)
            tmux.wait_until(lambda: "is stopped" not in tmux.text)
            (tmp_path / "go").touch()
            tmux.wait_for("code=0")
            left = tmux.text
        run.finish()

    assert "supervisor" not in left
