"""A run in a terminal: what is typed there reaches callboard, and never its workers."""

import subprocess
from pathlib import Path

from protocols.events import RunEnded, RunStopping, WorkerStarted
from tests.process_trees import wait_until
from tests.require import needs
from tests.running import CALLBOARD, RunningPlan, python
from tests.terminal import open_terminal
from tests.writers import acknowledged, has_line_numbers, writer

_TELLTALE = """
import os, signal, time
def told(number, _):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    if number == signal.SIGTERM:
        os._exit(0)
for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP, signal.SIGTERM, signal.SIGTTOU):
    signal.signal(each, told)
os.write(1, b"up\\n")
while True:
    time.sleep(1000)
"""


def test_ctrl_c_reaches_callboard_and_the_workers_hear_only_term(tmp_path: Path) -> None:
    with open_terminal(tmp_path, python("a", _TELLTALE)) as (terminal, run):
        terminal.type("callboard run plan.toml; echo code=$?\n")
        run.wait_for_output("a", b"up\n")

        terminal.type("\x03")
        terminal.wait_for(b"\r\ncode=130\r\n")

        assert run.spool("a") == b"up\nSIGTERM\n"
        assert [event.reason for event in run.events(RunStopping)] == ["SIGINT"]
        assert run.report.outcome == "interrupted"
        terminal.type("exit\n")


def test_ctrl_z_and_fg_change_nothing_for_the_workers(tmp_path: Path) -> None:
    plan = (python("a", _TELLTALE), writer("b", size=100 * 8192, pause=0.002))
    with open_terminal(tmp_path, *plan) as (terminal, run):
        terminal.type("callboard run plan.toml\n")
        run.wait_for_output("a", b"up\n")
        worker = run.wait_for(WorkerStarted, "b").pid

        terminal.type("\x1a")
        terminal.wait_for(b"Stopped")
        terminal.wait_for(b"ready> ")
        before = acknowledged(run, "b")
        run.wait_until(lambda: acknowledged(run, "b") > before)
        terminal.type("callboard status; echo code=$?\n")
        terminal.wait_for(b"is stopped")
        terminal.wait_for(b"\r\ncode=3\r\n")
        terminal.type("fg\n")
        terminal.wait_for(b"1 succeeded")
        terminal.type("\x03")
        terminal.wait_for(b"interrupted in ")
        terminal.wait_for(b"ready> ")

        assert worker
        assert run.spool("a") == b"up\nSIGTERM\n"
        assert has_line_numbers(run.spool("b")) and len(run.spool("b")) == 100 * 8192
        terminal.type("exit\n")


def test_a_closed_terminal_stops_the_run_gracefully(tmp_path: Path) -> None:
    with open_terminal(tmp_path, python("a", _TELLTALE)) as (terminal, run):
        terminal.type("callboard run plan.toml\n")
        run.wait_for_output("a", b"up\n")
        fleet = run.fleet

        terminal.hang_up()
        wait_until(lambda: not fleet.is_alive() and fleet.folder.report_json.exists())

        assert run.spool("a") == b"up\nSIGTERM\n"
        assert [event.reason for event in run.events(RunStopping)] == ["SIGHUP"]
        assert [event.outcome for event in run.events(RunEnded)] == ["interrupted"]
        assert b"Traceback" not in fleet.folder.keeper_log.read_bytes()


def test_ctrl_c_in_tmux_stops_the_run_gracefully(tmp_path: Path) -> None:
    needs("tmux", "install tmux")
    (tmp_path / "plan.toml").write_text(python("a", _TELLTALE))
    tmux = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    script = f"{CALLBOARD} run plan.toml; echo $? > code; exec sleep 1000"
    command = f"exec bash -c '{script}'"  # another shell may go with the run
    with subprocess.Popen([*tmux, "-D"], cwd=tmp_path) as server:
        wait_until((tmp_path / "tmux").exists)
        subprocess.run([*tmux, "new-session", "-d", "-s", "s", command], cwd=tmp_path, check=True)
        run = RunningPlan(tmp_path, server)
        try:
            run.wait_for_output("a", b"up\n")

            subprocess.run([*tmux, "send-keys", "-t", "s", "C-c"], check=True)
            run.wait_until(lambda: (tmp_path / "code").exists() and (tmp_path / "code").read_text() == "130\n")

            assert run.spool("a") == b"up\nSIGTERM\n"
            assert run.report.outcome == "interrupted"
        finally:
            subprocess.run([*tmux, "kill-server"], check=True)
            server.wait()
            run.close()
