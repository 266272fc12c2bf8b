"""Tasks on terminals of their own, as a user sees them: what the plan says, what is printed, what is told."""

import json
import os
import signal
import sys
from pathlib import Path

from protocols.events import WorkerOutput, WorkerProgress, WorkerStarted
from protocols.fleet_events import KeeperStarted
from tests.keeper_client import is_alive
from tests.running import CALLBOARD, callboard, python, running, task


def test_a_program_finds_a_terminal_of_the_size_and_kind_that_the_plan_says(tmp_path: Path) -> None:
    script = 'stty size; echo "$TERM"; test -t 0 && test -t 1 && test -t 2 && echo terminal'
    plan = [
        "[roles.wide]\nsource = 'pty'\nwindow = '200x50'",
        task("a", script, source="pty"),
        task("b", script, role="wide", env={"TERM": "vt100"}),
        task("c", script, role="wide", window="80x24", pass_env=["TERM"]),
    ]

    with running(tmp_path, *plan, env={"TERM": "screen"}) as run:
        run.finish()

        told = {name: run.spool(name, stream="terminal").decode().split("\r\n") for name in "abc"}
        assert told == {
            "a": ["40 120", "xterm-256color", "terminal", ""],
            "b": ["50 200", "vt100", "terminal", ""],
            "c": ["24 80", "screen", "terminal", ""],
        }


def test_the_spool_is_what_a_terminal_would_get_and_lines_are_shown_as_lines(tmp_path: Path) -> None:
    script = r"printf 'one\n'; printf 'two\n' >&2; printf '\033[31mthree\033[0m'"
    with running(tmp_path, task("a", script, source="pty"), options=("--show-output",)) as run:
        run.finish()

        assert run.spool("a", stream="terminal") == b"one\r\ntwo\r\n\x1b[31mthree\x1b[0m"
        assert "a | one\na | two\na | three\n" in run.stdout.decode()
        assert {event.stream for event in run.events(WorkerOutput)} == {"terminal"}
        assert (run.attempt("a").terminal.lines, run.attempt("a").stdout.bytes) == (3, 0)
        assert not run.spool_path("a").exists()


def test_a_bar_that_only_a_terminal_gets_is_progress(tmp_path: Path) -> None:
    script = (
        "test -t 1 && for done in 1 2; do printf '\\rcopying files: %s0%%' $done; until [ -e seen ]; do :; done; done"
    )
    with running(tmp_path, task("a", script, source="pty")) as run:
        seen = run.wait_for(WorkerProgress, "a")
        (tmp_path / "seen").touch()
        run.finish()

        assert (seen.fraction, seen.label) == (0.1, "copying files")
        assert run.events(WorkerProgress)[-1].fraction == 0.2


def test_who_closed_the_terminal_may_open_it_again_under_the_next_keeper(tmp_path: Path) -> None:
    script = """
import os, time
os.write(1, b"one\\n")
os.closerange(0, 3)
while not os.path.exists("go"): time.sleep(0.01)
os.write(os.open("/dev/tty", os.O_WRONLY), b"two\\n")
"""
    with running(tmp_path, python("a", script, source="pty")) as run:
        run.wait_for_output("a", b"one\r\n", "terminal")
        descriptors = Path(f"/proc/{run.wait_for(WorkerStarted, 'a').pid}/fd")
        run.wait_until(lambda: not list(descriptors.iterdir()))
        keeper = run.wait_for(KeeperStarted).pid

        os.kill(keeper, signal.SIGKILL)
        run.wait_for(KeeperStarted, count=2)
        (tmp_path / "go").touch()
        run.finish()

        assert run.spool("a", stream="terminal") == b"one\r\ntwo\r\n"


def test_a_prompt_at_which_nobody_types_waits_until_its_timeout(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "printf 'sure? '; read answer", source="pty", timeout="300ms")) as run:
        run.finish(1)

        assert run.task("a").status == "timed-out"
        assert run.spool("a", stream="terminal") == b"sure? "


def test_a_text_or_file_for_stdin_is_redirected_and_the_rest_is_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("of the file\n")
    script = "cat; test -t 0 || test -t 1 && test -t 2 && echo out </dev/tty"
    plan = [
        task("a", script, source="pty", stdin={"text": "of the plan\n"}),
        task("b", script, source="pty", stdin={"file": "input"}),
    ]

    with running(tmp_path, *plan) as run:
        run.finish()

        assert run.spool("a", stream="terminal") == b"of the plan\r\nout\r\n"
        assert run.spool("b", stream="terminal") == b"of the file\r\nout\r\n"


def test_what_was_printed_is_read_status_and_report_count_it_and_there_is_no_stderr(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "echo out; exit 3", source="pty")) as run:
        run.finish(1)
        name = run.fleet.name

        assert callboard(tmp_path, "logs", name, "a").stdout == "out\n"  # text mode makes that of \r\n
        assert callboard(tmp_path, "logs", name, "a", "--range", "1:2").stdout == "ut"
        refused = callboard(tmp_path, "logs", name, "a", "--stderr", code=2).stderr
        (told,) = json.loads(callboard(tmp_path, "status", "--json").stdout)["tasks"]
        assert refused == 'error: task "a": it ran on a terminal, where all output is one stream; leave --stderr out\n'
        assert (told["terminal_bytes"], told["stdout_bytes"]) == (5, 0)
        assert "5 B" in callboard(tmp_path, "status").stdout
        assert "The end of the terminal of attempt 1:" in run.folder.report_markdown.read_text()


def test_a_full_screen_program_runs_as_in_a_terminal(tmp_path: Path) -> None:
    script = """
import curses
def paint(screen):
    screen.addstr(curses.LINES - 1, curses.COLS - 7, "corner")
    screen.refresh()
curses.wrapper(paint)
"""
    with running(tmp_path, task("a", [sys.executable, "-c", script], source="pty", window="90x20")) as run:
        run.finish()

        printed = run.spool("a", stream="terminal")
        assert b"corner" in printed and b"\x1b[20;84H" in printed


def test_a_callboard_on_a_terminal_of_callboard_works_and_ends_with_it(tmp_path: Path) -> None:
    waiting = "echo $$ > pid; exec sleep 1000"
    (tmp_path / "inner.toml").write_text(task("b", waiting, source="pty"))
    inner = [str(CALLBOARD), "run", "inner.toml", "--state", "inner"]
    with running(tmp_path, task("a", inner, source="pty"), settings='[stop]\ngrace = "300ms"\n') as run:
        pid = tmp_path / "pid"
        run.wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"))
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert not is_alive(int(pid.read_text()))
        assert b"interrupted" in run.spool("a", stream="terminal")
