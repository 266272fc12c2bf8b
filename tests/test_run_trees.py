"""A worker is its whole process tree: whatever it leaves behind is seen, waited for, and ended."""

import fcntl
import signal
from pathlib import Path

import pytest

from protocols.events import WorkerExited, WorkerMismatch, WorkerStarted
from protocols.fleet_events import FleetSwept, KeeperLost, KeeperStarted
from tests.keeper_client import is_alive
from tests.running import SHORT, python, running, task

_PRINTS_LATER = "leader=$$; (while kill -0 $leader 2>/dev/null; do sleep 0.01; done; echo later) & exit 0"

# A lock is held as long as any process has inherited it: `needs` of a task are over when nobody holds it.
_LOCK = """
import fcntl, os, time
fd = os.open("lock", os.O_RDWR | os.O_CREAT)
os.set_inheritable(fd, True)
fcntl.flock(fd, fcntl.LOCK_EX)
"""
_LOCK_IS_FREE = """
import fcntl
fcntl.flock(open("lock", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)
"""
_SLEEP = 'os.execvpe("sleep", ["sleep", "60"], {env})'
_DAEMONS = {
    "setsid": f"if os.fork() == 0:\n    os.setsid()\n    {_SLEEP.format(env='os.environ')}",
    "env -i setsid": f"if os.fork() == 0:\n    os.setsid()\n    {_SLEEP.format(env='{}')}",
    "double fork": f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        {_SLEEP.format(env="{}")}
    os._exit(0)
os.wait()
""",
    "chain of forks": """
if os.fork() == 0:
    os.closerange(0, 3)
    os.setsid()
    for number in range(1_000_000):
        if os.fork():
            os._exit(0)
""",
}


def _pid_in(path: Path) -> int:
    return int(path.read_text())


def _holds_a_pipe(pid: int) -> bool:
    streams = [Path(f"/proc/{pid}/fd/{number}") for number in (1, 2)]
    return any(stream.is_symlink() and str(stream.readlink()).startswith("pipe:") for stream in streams)


@pytest.mark.parametrize("kind", _DAEMONS)
def test_no_daemon_outlives_its_task(tmp_path: Path, kind: str) -> None:
    plan = [python("a", _LOCK + _DAEMONS[kind]), python("b", _LOCK_IS_FREE, needs=["a"])]

    with running(tmp_path, *plan, settings=SHORT) as run:
        run.finish()

        assert run.attempt("a").swept
        assert run.attempt("a").code == 0
        with (tmp_path / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_daemons_of_which_nobody_can_tell_the_worker_end_with_the_run(tmp_path: Path) -> None:
    tells_pid = f"open('pid-' + NAME, 'w').write(str(os.getpid()))\n        {_SLEEP.format(env='{}')}"
    script = "import os\n" + _DAEMONS["double fork"].replace(_SLEEP.format(env="{}"), tells_pid)
    daemons = [python(name, f"NAME = {name!r}\n{script}") for name in ("a", "b")]
    waits = task("c", "for name in a b; do while [ ! -s pid-$name ]; do sleep 0.005; done; done")

    with running(tmp_path, *daemons, waits, settings=SHORT) as run:
        run.finish()

        pids = [_pid_in(tmp_path / f"pid-{name}") for name in ("a", "b")]
        assert not any(map(is_alive, pids))
        swept = [each for name in ("a", "b") for each in run.attempt(name).swept]
        swept += [each for event in run.events(FleetSwept) for each in event.processes]
        assert set(swept) == {f"{pid} sleep 60" for pid in pids}


def test_what_a_child_prints_after_the_leader_has_exited_is_captured(tmp_path: Path) -> None:
    with running(tmp_path, task("a", _PRINTS_LATER)) as run:
        run.finish()

        assert run.spool("a") == b"later\n"
        assert run.attempt("a").stdout.bytes == 6
        assert not run.attempt("a").swept
        assert not run.events(WorkerMismatch)


def test_a_child_that_keeps_the_output_open_is_ended_and_listed(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "sleep 60 & echo $! > pid; echo now"), settings=SHORT) as run:
        run.finish()

        pid = _pid_in(tmp_path / "pid")
        assert not is_alive(pid)
        assert run.attempt("a").swept == (f"{pid} sleep 60",)
        assert run.spool("a") == b"now\n"
        assert f"a: ended 1 process left behind: {pid} sleep 60" in run.stdout.decode()


def test_a_child_with_an_evil_name_is_listed_harmlessly(tmp_path: Path) -> None:
    script = """
import ctypes, os
if os.fork() == 0:
    ctypes.CDLL(None).prctl(15, b"x) R 1 1 (\\x1b[2J\\n")
    open("pid", "w").write(str(os.getpid()))
    os.execvp("sleep", [b"\\x1b]0;evil\\x07\\xc2\\x9b2J\\xff\\nsleep", b"60"])
"""
    with running(tmp_path, python("a", script), settings=SHORT) as run:
        run.finish()

        (swept,) = run.attempt("a").swept
        assert swept.startswith(f"{_pid_in(tmp_path / 'pid')} ")
        assert not {"\x1b", "\x07", "\x9b"} & set(run.stdout.decode())


def test_a_worker_that_renames_itself_is_supervised_as_ever(tmp_path: Path) -> None:
    script = """
import ctypes, os, time
ctypes.CDLL(None).prctl(15, b") Z 1 1 1 1 (")
print("renamed", flush=True)
time.sleep(60)
"""
    with running(tmp_path, python("a", script)) as run:
        run.wait_for_output("a", b"renamed")
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert run.attempt("a").signal == "SIGTERM"
        assert run.task("a").status == "stopped"


def test_a_worker_that_kills_its_parent_hits_the_keeper_and_loses_nothing(tmp_path: Path) -> None:
    script = """
        while [ ! -e up ]; do sleep 0.005; done
        for number in $(seq 2000); do echo $number; [ $number != 1000 ] || kill -9 $PPID; done
        while [ ! -e go ]; do sleep 0.005; done
        echo end; exit 3
    """
    numbers = "".join(f"{number}\n" for number in range(1, 2001))
    plan = [task("a", script, allow_failure=True), task("b", "echo b", needs=["a"])]

    with running(tmp_path, *plan) as run:
        run.wait_for(WorkerStarted, "a")
        (tmp_path / "up").touch()
        run.wait_for(KeeperStarted, count=2)
        (tmp_path / "go").touch()
        run.finish()

        assert run.spool("a").decode() == f"{numbers}end\n"
        assert (run.attempt("a").code, run.attempt("a").reason) == (3, "exit")
        assert run.spool("b") == b"b\n"
        (lost,) = run.events(KeeperLost)
        assert lost.pid == run.events(KeeperStarted)[0].pid
        assert "is lost" in run.stdout.decode()
        assert not run.events(WorkerMismatch)


def test_a_worker_that_stops_itself_is_ended_cleanly(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "trap 'echo bye; exit 0' TERM; echo up; kill -STOP $$; sleep 60 & wait")) as run:
        run.wait_for_output("a", b"up")
        pid = run.wait_for(WorkerStarted, "a").pid
        run.wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert run.spool("a") == b"up\nbye\n"
        assert len(run.events(WorkerExited, "a")) == 1
        assert run.task("a").status == "stopped"


def test_a_worker_that_closes_its_output_is_followed_to_its_own_end(tmp_path: Path) -> None:
    script = "echo last; exec >&- 2>&-; while [ ! -e go ]; do sleep 0.005; done; exit 3"

    with running(tmp_path, task("a", script), settings=SHORT) as run:
        run.wait_for_output("a", b"last")
        run.wait_until(lambda: not _holds_a_pipe(run.wait_for(WorkerStarted, "a").pid))
        (tmp_path / "go").touch()
        run.finish(1)

        assert (run.attempt("a").code, run.attempt("a").reason) == (3, "exit")
        assert run.spool("a") == b"last\n"
