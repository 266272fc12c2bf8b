"""The keeper is killed under its workers: they do not notice, and nothing of what they do is lost."""

import os
import signal
from pathlib import Path

import pytest

from protocols.events import (
    RunEnded,
    SpoolBlocked,
    WorkerExited,
    WorkerMismatch,
    WorkerOutput,
    WorkerStarted,
    WorkerStopping,
)
from protocols.fleet_events import KeeperLost, KeeperStarted, ProcessUnattributed
from tests.keeper_client import is_alive, wait_until_gone
from tests.running import RunningPlan, callboard, python, running, task
from tests.writers import WHO, WRITE, acknowledged, has_line_numbers, living, writer

_WAIT_FOR_GO = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.005)\n"
_SAY = "import os; os.write(1, b'ready\\n')\n"
_QUICK = '[stop]\nlinger = "100ms"\ngrace = "300ms"\n'
_ON = "while :; do sleep 0.1; done"
_STUBBORN = f"trap '' TERM; setsid sh -c 'trap \"\" TERM; echo up; {_ON}' & {_ON}"


def _kill_keeper(run: RunningPlan, number: int = 1) -> None:
    """Kill the keeper that is the ``number``-th of this run; when this returns, it is gone."""
    pid = run.wait_for(KeeperStarted, count=number).pid
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)


def _kill_keepers(run: RunningPlan, count: int) -> None:
    for number in range(1, count + 1):
        _kill_keeper(run, number)
        run.wait_for(KeeperLost, count=number)


def _wait_for_writers(run: RunningPlan, names: str, size: int) -> None:
    """Until each of these writers has written more than that."""
    run.wait_until(lambda: all(acknowledged(run, name) > size for name in names))


def _go(run: RunningPlan) -> None:
    (run.cwd / "go").touch()


def _covered(run: RunningPlan, name: str) -> int:
    """Bytes of stdout that records cover, each of them once and in order."""
    end = 0
    for output in run.events(WorkerOutput, name):
        if output.stream == "stdout":
            assert output.offset == end
            end += output.length
    return end


def test_a_keeper_killed_while_nothing_happens_is_declared_and_replaced(tmp_path: Path) -> None:
    with running(tmp_path, python("a", _SAY + _WAIT_FOR_GO + "print('done')")) as run:
        run.wait_for_output("a", b"ready\n")
        first = run.wait_for(KeeperStarted).pid

        _kill_keeper(run)
        second = run.wait_for(KeeperStarted, count=2)
        _go(run)
        run.finish()

        (lost,) = run.events(KeeperLost)
        assert (lost.pid, second.generation) == (first, 2)
        assert b"is lost" in run.stdout
        assert run.spool("a") == b"ready\ndone\n"
        assert _covered(run, "a") == 11
        assert (run.attempt("a").code, run.attempt("a").reason, run.attempt("a").swept) == (0, "exit", ())


@pytest.mark.parametrize("kills", [1, 2])
def test_output_at_full_speed_is_byte_exact_when_keepers_are_killed(tmp_path: Path, kills: int) -> None:
    size = 24 * 1024 * 1024
    with running(tmp_path, *(writer(name, size=size) for name in "ab")) as run:
        for number in range(1, kills + 1):
            _wait_for_writers(run, "ab", number * 2**20)
            _kill_keeper(run, number)
        run.finish()

        assert len(run.events(KeeperLost)) == kills
        for name in "ab":
            assert run.wait_for(WorkerExited, name).stdout_bytes == _covered(run, name) == size
            assert has_line_numbers(run.spool(name))
        assert not run.events(WorkerMismatch)
        assert not run.events(SpoolBlocked)


def test_workers_that_end_under_the_next_keeper_have_their_true_status(tmp_path: Path) -> None:
    ends = {
        "zero": "pass",
        "seven": "os._exit(7)",
        "kill": "os.kill(os.getpid(), 9)",
        "user": "os.kill(os.getpid(), 10)",
    }
    ends["real_time"] = "os.kill(os.getpid(), 37)"
    with running(tmp_path, *(python(name, f"{_SAY}{_WAIT_FOR_GO}{end}") for name, end in ends.items())) as run:
        for name in ends:
            run.wait_for_output(name, b"ready\n")

        _kill_keepers(run, 2)
        _go(run)
        run.finish(1)

        assert {name: (run.attempt(name).code, run.attempt(name).signal) for name in ends} == {
            "zero": (0, None),
            "seven": (7, None),
            "kill": (None, "SIGKILL"),
            "user": (None, "SIGUSR1"),
            "real_time": (None, "SIGRTMIN+3"),
        }
        assert {run.attempt(name).reason for name in ends} == {"exit"}
        assert {run.spool(name) for name in ends} == {b"ready\n"}


def test_workers_that_end_while_there_is_no_keeper_have_their_true_status(tmp_path: Path) -> None:
    """While callboard is stopped, nobody replaces the keeper."""
    ends = {"zero": "print('last words')", "seven": "os._exit(7)", "kill": "os.kill(os.getpid(), 9)"}
    with running(tmp_path, *(python(name, f"{_SAY}{_WAIT_FOR_GO}{end}") for name, end in ends.items())) as run:
        for name in ends:
            run.wait_for_output(name, b"ready\n")
        workers = [run.wait_for(WorkerStarted, name).pid for name in ends]

        run.signal(signal.SIGSTOP)
        _kill_keeper(run)
        _go(run)
        run.wait_until(lambda: not any(is_alive(pid) for pid in workers))
        run.signal(signal.SIGCONT)
        run.finish(1)

        exits = [(run.attempt(name).code, run.attempt(name).signal, run.attempt(name).reason) for name in ends]
        assert exits == [(0, None, "exit"), (7, None, "exit"), (None, "SIGKILL", "exit")]
        assert run.spool("zero") == b"ready\nlast words\n"


def test_an_exit_that_the_lost_keeper_had_seen_is_not_lost_with_it(tmp_path: Path) -> None:
    """What holds the output open outlives the leader, and two keepers."""
    script = "setsid sh -c 'while [ ! -e go ]; do sleep 0.01; done; echo late' & echo early; exit 7"
    with running(tmp_path, task("a", script), settings='[stop]\nlinger = "1h"\n') as run:
        run.wait_for(WorkerStarted, "a")
        (status,) = (run.folder.root / "status").iterdir()
        run.wait_until(lambda: b'"exited"' in status.read_bytes())

        _kill_keepers(run, 2)
        _go(run)
        run.finish(1)

        assert (run.attempt("a").code, run.attempt("a").reason) == (7, "exit")
        assert run.spool("a") == b"early\nlate\n"


def test_what_workers_left_behind_under_the_lost_keeper_ends_with_the_run(tmp_path: Path) -> None:
    """Nothing shows of these to which worker they belong, not even to which fleet."""
    leave = f"(env -i PIDS={tmp_path}/pids PATH=/usr/bin:/bin setsid sh -c '{WHO}; sleep 1000; exit' <&- >&- 2>&- &)\n"
    wait = "while [ ! -e go ]; do sleep 0.01; done"
    with running(tmp_path, task("a", leave + wait), task("b", leave + wait)) as run:
        run.wait_until(lambda: len(living(tmp_path / "pids")) == 2)
        left = living(tmp_path / "pids")

        _kill_keepers(run, 2)
        assert living(tmp_path / "pids") == left
        _go(run)
        run.finish()

        assert not living(tmp_path / "pids")
        assert {event.pid for event in run.events(ProcessUnattributed)} >= set(left)
        assert isinstance(run.records()[-1].event, RunEnded)


def test_a_worker_that_waits_for_input_does_not_hear_of_the_death_of_its_keeper(tmp_path: Path) -> None:
    reading = "import sys\nprint('up', flush=True)\nsys.stdin.read()\nprint('end of input', flush=True)\n"
    with running(tmp_path, python("a", reading, stdin="pipe", grace="20s")) as run:
        run.wait_for_output("a", b"up\n")
        for number in (1, 2):
            _kill_keeper(run, number)
            run.wait_for(KeeperStarted, count=number + 1)
        assert run.spool("a") == b"up\n"
        assert is_alive(run.wait_for(WorkerStarted, "a").pid)

        run.signal(signal.SIGINT)
        run.finish(130)

        assert run.events(WorkerExited, "a")[0].reason == "stop"


def test_a_timeout_holds_across_keepers(tmp_path: Path) -> None:
    with running(tmp_path, python("a", _SAY + "time = __import__('time'); time.sleep(1000)", timeout="1s")) as run:
        run.wait_for_output("a", b"ready\n")

        _kill_keeper(run)
        run.finish(1)

        assert (run.task("a").status, run.attempt("a").signal) == ("timed-out", "SIGTERM")


def test_a_stop_reaches_workers_under_the_next_keeper_with_all_they_started(tmp_path: Path) -> None:
    with running(tmp_path, task("a", _STUBBORN), settings=_QUICK) as run:
        run.wait_for_output("a", b"up\n")

        _kill_keepers(run, 1)
        callboard(tmp_path, "stop")
        run.finish(130)

        assert (run.task("a").status, run.attempt("a").signal) == ("stopped", "SIGKILL")


def test_a_stop_under_way_goes_on_under_the_next_keeper(tmp_path: Path) -> None:
    script = "import signal; signal.signal(15, signal.SIG_IGN)\n" + _SAY + "import time; time.sleep(1000)"
    with running(tmp_path, python("a", script), settings='[stop]\ngrace = "1s"\n') as run:
        run.wait_for_output("a", b"ready\n")
        run.signal(signal.SIGINT)
        run.wait_for(WorkerStopping, "a")

        _kill_keeper(run)
        run.finish(130)

        assert (run.task("a").status, run.attempt("a").signal) == ("stopped", "SIGKILL")
        assert len(run.events(KeeperLost)) == 1


@pytest.mark.parametrize("kills", [1, 2])
def test_during_many_spawns_no_task_is_lost_and_none_runs_twice(tmp_path: Path, kills: int) -> None:
    """A command that a keeper started and could not tell of is ended, and its attempt says so."""
    names = [f"t{number}" for number in range(80)]
    plan = (task(name, f"echo {name} >> ran; echo out") for name in names)
    with running(tmp_path, "[defaults]\nconcurrency = 40", *plan) as run:
        for number in range(1, kills + 1):
            run.wait_for(WorkerStarted, count=number * 15)
            _kill_keeper(run, number)
        code = run.wait()

        ran = (tmp_path / "ran").read_text().split()
        statuses = {str(each.id): each.status for each in run.report.tasks}
        unsure = {name for name in names if run.attempt(name).reason == "not-started"}
        assert len(run.events(KeeperLost)) == kills
        assert len(ran) == len(set(ran)) and set(ran) | unsure == set(names)
        assert all(statuses[name] == ("failed" if name in unsure else "succeeded") for name in names)
        assert all(run.spool(name) == b"out\n" for name in set(names) - unsure)
        assert code == (1 if unsure else 0)


def test_the_third_keeper_lost_within_a_minute_ends_the_run_in_order(tmp_path: Path) -> None:
    with running(tmp_path, writer("a", pause=0.001), task("b", _STUBBORN), settings=_QUICK) as run:
        run.wait_for_output("b", b"up\n")
        for number in (1, 2, 3):
            _wait_for_writers(run, "a", number * 8 * WRITE)
            _kill_keeper(run, number)
        run.finish(1)

        assert len(run.events(KeeperLost)) == 3
        assert "3 keepers were lost" in run.stderr
        assert "Traceback" not in run.stderr
        assert {each.id: each.status for each in run.report.tasks} == {"a": "stopped", "b": "stopped"}
        assert has_line_numbers(run.spool("a"))
        assert '"interrupted"' in callboard(tmp_path, "runs", "--json").stdout
