"""Signals, stopped supervisors and readers that go away or never read: a run ends when it should, and only then."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from protocols.events import RunEnded, RunStopping, TaskStatusChanged, WorkerExited, WorkerOutput, WorkerStarted
from protocols.fleet_events import KeeperStarted
from tests.keeper_client import is_alive
from tests.running import callboard, python, running, task
from tests.writers import acknowledged, has_line_numbers, writer

_UP = "import os, signal, time; os.write(1, b'up\\n')\n"
_UNTIL_GO = "while not os.path.exists('go'): time.sleep(0.005)\n"
_POLITE = "signal.signal(15, lambda *_: (os.write(1, b'bye\\n'), os._exit(5)))\n"
_DEAF = python("a", f"import signal; signal.signal(15, signal.SIG_IGN)\n{_UP}time.sleep(1000)")
_PATIENT = '[stop]\ngrace = "1h"\n'


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_lets_workers_finish_and_tells_all_of_it(tmp_path: Path, signo: signal.Signals) -> None:
    polite = python("a", f"import os, signal, time\n{_POLITE}{_UP}time.sleep(1000)")
    with running(tmp_path, polite, task("b", "true", needs=["a"]), task("c", "sleep 1000")) as run:
        run.wait_for_output("a", b"up\n")
        run.wait_for(WorkerStarted, "c")

        run.signal(signo)
        run.finish(130)

        assert [event.reason for event in run.events(RunStopping)] == [signo.name]
        assert run.spool("a") == b"up\nbye\n"
        ends = {
            each.id: (each.status, [(a.code, a.signal, a.reason) for a in each.attempts]) for each in run.report.tasks
        }
        assert ends == {
            "a": ("stopped", [(5, None, "stop")]),
            "b": ("stopped", []),
            "c": ("stopped", [(None, "SIGTERM", "stop")]),
        }
        assert {event.task: event.status for event in run.events(TaskStatusChanged)} == dict.fromkeys("abc", "stopped")
        assert len(run.events(WorkerExited)) == 2
        assert isinstance(run.records()[-1].event, RunEnded)
        assert run.folder.report_markdown.exists() and b"interrupted" in run.stdout


def test_the_second_signal_kills(tmp_path: Path) -> None:
    with running(tmp_path, _DEAF, settings=_PATIENT) as run:
        run.wait_for_output("a", b"up\n")

        run.signal(signal.SIGTERM)
        run.wait_for(RunStopping)
        run.signal(signal.SIGINT)
        run.finish(130)

        assert [(event.reason, event.grace) for event in run.events(RunStopping)] == [
            ("SIGTERM", 3600.0),
            ("SIGINT again", 0.0),
        ]
        assert (run.task("a").status, run.attempt("a").signal) == ("stopped", "SIGKILL")


def test_the_third_signal_leaves_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A keeper that does not answer holds up the first two. Takes the seconds that it has to go by itself."""
    with running(tmp_path, _DEAF, settings=_PATIENT) as run:
        run.wait_for_output("a", b"up\n")
        worker = run.wait_for(WorkerStarted).pid
        os.kill(run.wait_for(KeeperStarted).pid, signal.SIGSTOP)

        for number in (1, 2):
            run.signal(signal.SIGINT)
            run.wait_for(RunStopping, count=number)
        run.signal(signal.SIGINT)
        run.finish(130)

        assert not is_alive(worker)
        assert "SIGINT for the third time" in run.stderr
        assert run.task("a").status == "stopped"
        assert [event.outcome for event in run.events(RunEnded)] == ["interrupted"]


def test_three_signals_at_once_leave_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path, _DEAF, settings=_PATIENT) as run:
        run.wait_for_output("a", b"up\n")

        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            run.signal(signo)
        run.finish(130)

        assert run.task("a").status == "stopped"
        assert [event.outcome for event in run.events(RunEnded)] == ["interrupted"]


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.15, 0.2, 0.3, 0.4])
def test_a_signal_at_any_moment_of_the_start_leaves_nothing_behind(tmp_path: Path, delay: float) -> None:
    with running(tmp_path, task("a", "sleep 1000")) as run:
        time.sleep(delay)
        run.signal(signal.SIGTERM)

        assert run.wait() in {130, -signal.SIGTERM}
        listed = callboard(tmp_path, "runs", "--json").stdout.splitlines()
        assert [json.loads(line)["status"] for line in listed] in ([], ["interrupted"])


def test_a_signal_that_we_were_started_to_ignore_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path, python("a", _UP + _UNTIL_GO), prepare=_like_nohup) as run:
        run.wait_for_output("a", b"up\n")

        run.signal(signal.SIGHUP)
        (tmp_path / "go").touch()
        run.finish()

        assert not run.events(RunStopping)


def _like_nohup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_workers_of_a_stopped_callboard_go_on_and_nothing_of_their_output_is_lost(tmp_path: Path) -> None:
    late = python("late", f"{_UP}time.sleep(1000)", timeout="600ms")
    with running(tmp_path, writer("a", size=64 * 8192, pause=0.005), late) as run:
        run.wait_for_output("late", b"up\n")
        workers = [run.wait_for(WorkerStarted, name).pid for name in ("a", "late")]
        run.wait_until(lambda: acknowledged(run, "a") > 0)

        run.signal(signal.SIGSTOP)
        run.wait_until(lambda: not any(map(is_alive, workers)))
        spooled = run.spool("a")
        run.signal(signal.SIGCONT)
        run.finish(1)

        assert len(spooled) == acknowledged(run, "a") == 64 * 8192
        assert has_line_numbers(spooled)
        assert sum(event.length for event in run.events(WorkerOutput, "a")) == 64 * 8192
        assert {each.id: each.status for each in run.report.tasks} == {"a": "succeeded", "late": "timed-out"}


def test_a_stopped_callboard_is_said_to_be_stopped(tmp_path: Path) -> None:
    with running(tmp_path, python("a", _UP + _UNTIL_GO)) as run:
        run.wait_for_output("a", b"up\n")
        run.signal(signal.SIGSTOP)

        for command in ("status", "stop"):
            said = callboard(tmp_path, command, code=3).stderr
            assert f"(pid {run.process.pid}) is stopped" in said and f"kill -CONT {run.process.pid}" in said
        assert '"running"' in callboard(tmp_path, "runs", "--json").stdout

        run.signal(signal.SIGCONT)
        (tmp_path / "go").touch()
        run.finish()
        assert not run.events(RunStopping)


_CHATTY = python("a", "import os\nfor n in range(20000): os.write(1, b'%06d\\n' % n)")


def test_without_a_reader_of_its_output_a_run_goes_on_to_its_end(tmp_path: Path) -> None:
    read, write = os.pipe()
    with running(
        tmp_path, _CHATTY, task("b", "echo done", needs=["a"]), options=("--show-output",), prepare=_to(write)
    ) as run:
        os.close(write)
        first = os.read(read, 20)
        os.close(read)
        run.finish()

        assert first
        assert run.spool("b") == b"done\n"
        assert "Traceback" not in run.stderr
        assert run.report.outcome == "succeeded"


def _to(fd: int) -> Callable[[], None]:
    def redirect() -> None:
        os.dup2(fd, 1)

    return redirect


@pytest.fixture
def stuck() -> Iterator[tuple[int, Callable[[], None]]]:
    """The read end of a small pipe that nobody reads unless the test does, and what makes it standard output."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    yield read, _to(write)
    for fd in (read, write):
        os.close(fd)


def test_a_reader_that_never_reads_slows_no_worker_and_an_interrupt_ends_the_waiting(
    tmp_path: Path, stuck: tuple[int, Callable[[], None]]
) -> None:
    with running(tmp_path, _CHATTY, options=("--show-output",), prepare=stuck[1]) as run:
        run.wait_for(RunEnded)
        assert json.loads(callboard(tmp_path, "status", "--json").stdout)["outcome"] == "succeeded"
        assert callboard(tmp_path, "stop").stdout == f"run {run.fleet.name} has ended\n"

        run.signal(signal.SIGINT)
        run.finish()

        assert "was not read" in run.stderr
        assert run.attempt("a").stdout.lines == 20000


def test_a_stop_works_where_nobody_reads(tmp_path: Path, stuck: tuple[int, Callable[[], None]]) -> None:
    """Takes the seconds for which the reader is waited for."""
    plan = (_CHATTY, python("b", f"{_UP}time.sleep(1000)"))
    with running(tmp_path, *plan, options=("--show-output",), prepare=stuck[1]) as run:
        run.wait_for(WorkerExited, "a")
        run.wait_for_output("b", b"up\n")

        callboard(tmp_path, "stop")

        run.finish(130)
        assert {each.id: each.status for each in run.report.tasks} == {"a": "succeeded", "b": "stopped"}


def test_a_reader_that_comes_back_gets_every_line(tmp_path: Path, stuck: tuple[int, Callable[[], None]]) -> None:
    with running(tmp_path, _CHATTY, options=("--show-output",), prepare=stuck[1]) as run:
        run.wait_for(RunEnded)
        said = b""
        while b"report.md" not in said:
            said += os.read(stuck[0], 65536)
        run.finish()

        assert [int(line[4:]) for line in said.splitlines() if line.startswith(b"a | ")] == list(range(20000))
