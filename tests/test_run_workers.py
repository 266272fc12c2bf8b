"""What a worker is given, and how its end is told: exits, signals, timeouts, commands that cannot start."""

import os
import resource
import signal
from pathlib import Path

import pytest

from protocols.events import TaskStatusChanged, WorkerExited, WorkerProgress, WorkerStarted, WorkerStopping
from protocols.fleet_events import KeeperStarted
from tests.keeper_client import is_alive
from tests.require import needs
from tests.running import python, running, task

_SOFT, _HARD = 1024, 8192


def _few_open_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_SOFT, _HARD))


def _environment(output: bytes) -> dict[str, str]:
    """What ``env -0`` printed."""
    return dict(entry.split("=", 1) for entry in output.decode().split("\0") if entry)


@pytest.mark.parametrize("name", ["SEGV", "KILL", "TERM"])
def test_a_worker_that_ends_by_a_signal_is_told_by_its_name(tmp_path: Path, name: str) -> None:
    with running(tmp_path, task("a", f"ulimit -c 0; echo before; kill -{name} $$; echo after")) as run:
        run.finish(1)

        exited = run.wait_for(WorkerExited, "a")
        assert (exited.code, exited.signal, exited.reason) == (None, f"SIG{name}", "exit")
        assert (run.task("a").status, run.task("a").reason) == ("failed", f"killed by SIG{name}")
        assert (run.attempt("a").code, run.attempt("a").signal) == (None, f"SIG{name}")
        assert run.spool("a") == b"before\n"


def test_a_worker_that_needs_three_thousand_files_gets_them(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needs("8192 open files", "raise the hard limit (ulimit -Hn)", present=hard >= _HARD)
    script = """
import os, resource
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 8192))
print(len([os.open("/dev/null", os.O_RDONLY) for _ in range(3000)]))
"""

    with running(tmp_path, python("a", script), task("b", "ulimit -n"), prepare=_few_open_files) as run:
        run.finish()

        assert run.spool("a").decode().split() == [str(_SOFT), str(_HARD), "3000"]
        assert run.spool("b").decode().split() == [str(_SOFT)]


@pytest.mark.parametrize("kills", [0, 1])
def test_more_workers_than_the_users_limit_of_open_files_allows_for_one_process(tmp_path: Path, kills: int) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    names = [f"t{number}" for number in range(80)]
    wait = "echo up; until [ -e go ]; do sleep 0.05; done; ulimit -n"
    plan = ["[defaults]\nconcurrency = 80", *(task(name, wait) for name in names)]
    with running(tmp_path, *plan, prepare=few) as run:
        run.wait_for(WorkerStarted, count=80)
        for _ in range(kills):
            os.kill(run.wait_for(KeeperStarted).pid, signal.SIGKILL)
            run.wait_for(KeeperStarted, count=2)
        (tmp_path / "go").touch()
        run.finish()

        assert {run.spool(name) for name in names} == {b"up\n100\n"}


def test_a_script_without_its_first_line_is_a_clear_error_and_works_in_a_shell(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo works\n")
    script.chmod(0o700)

    with running(tmp_path, task("a", ["./script"]), task("b", "./script"), task("c", ["true"], needs=["a"])) as run:
        run.finish(1)

        (exited,) = run.events(WorkerExited, "a")
        assert (exited.reason, exited.code, exited.started_at) == ("not-started", None, None)
        reason = run.task("a").reason
        assert reason.startswith(f'not started: command "{script}": Exec format error; it has no #! line')
        assert reason in run.stdout.decode()
        assert run.task("c").status == "skipped"
        assert run.spool("b") == b"works\n"


def test_a_worker_that_runs_longer_than_its_timeout_is_ended_with_its_tree(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 60 & echo $! > pid; echo up; wait; wait; sleep 60"

    with running(tmp_path, task("a", script, timeout="1s", grace="100ms"), task("b", ["true"], needs=["a"])) as run:
        run.finish(1)

        (stopping,) = run.events(WorkerStopping, "a")
        assert (stopping.reason, stopping.grace) == ("timeout", 0.1)
        (exited,) = run.events(WorkerExited, "a")
        assert (exited.reason, exited.signal) == ("timeout", "SIGKILL")
        assert run.task("a").status == "timed-out"
        assert run.task("a").reason == "timed out after 1s, killed by SIGKILL"
        assert run.task("b").reason == 'needs "a", which timed out'
        assert run.spool("a") == b"up\n"
        assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_timeout_is_of_one_attempt_and_is_retried(tmp_path: Path) -> None:
    script = "echo $$; [ -e second ] || { touch second; exec sleep 60; }"

    with running(tmp_path, task("a", script, timeout="1s", retries=2, backoff="10ms")) as run:
        run.finish()

        statuses = [event.status for event in run.events(TaskStatusChanged, "a")]
        assert statuses == ["running", "retrying", "running", "succeeded"]
        assert [exited.reason for exited in run.events(WorkerExited, "a")] == ["timeout", "exit"]
        pids = [started.pid for started in run.events(WorkerStarted, "a")]
        assert [int(run.spool("a", attempt)) for attempt in (1, 2)] == pids
        assert run.attempt("a", 1).signal == "SIGTERM"


def test_a_worker_without_stdin_reads_its_end_at_once(tmp_path: Path) -> None:
    with running(tmp_path, task("a", ["cat"]), task("b", "readlink /proc/self/fd/0")) as run:
        run.finish()

        assert run.spool("a") == b""
        assert run.spool("b") == b"/dev/null\n"


def test_stdin_is_the_text_or_the_file_that_the_plan_names(tmp_path: Path) -> None:
    text, data = "one\ntwo é \x01", bytes(range(256)) * 1000
    (tmp_path / "data").write_bytes(data)
    plan = [task("a", ["cat"], stdin={"text": text}), task("b", ["cat"], stdin={"file": "data"}, cwd="/")]

    with running(tmp_path, *plan) as run:
        run.finish()

        assert run.spool("a") == text.encode()
        assert run.spool("b") == data


def test_stdin_as_a_pipe_says_nothing_until_the_stop_which_ends_it(tmp_path: Path) -> None:
    script = """
import select, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("silent" if select.select([0], [], [], 0.05)[0] == [] else "speaks", flush=True)
print([sys.stdin.read()])
"""

    with running(tmp_path, python("a", script, stdin="pipe")) as run:
        run.wait_for_output("a", b"\n")
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert run.spool("a") == b"silent\n['']\n"
        assert (run.task("a").status, run.task("a").reason) == ("stopped", "exit code 0")


def test_a_worker_gets_the_usual_variables_those_of_the_plan_and_who_it_is(tmp_path: Path) -> None:
    ours = {"SECRET": "s", "JAVA_HOME": "/java", "CALLBOARD_CFG_STREAM__MAX_LINE": "4096", "LC_ALL": "C"}
    plan = [
        task("a", ["env", "-0"]),
        task("b", ["env", "-0"], pass_env=["JAVA_*"], env={"X": "1 \n=é", "LC_ALL": "C.UTF-8"}),
        task("c", ["env", "-0"], pass_env=["*"]),
    ]

    with running(tmp_path, *plan, env=ours) as run:
        run.finish()

        a, b, c = (_environment(run.spool(name)) for name in "abc")
        fleet = run.fleet
        assert fleet.identity is not None
        assert a["CALLBOARD_MARK"] == f"{fleet.identity.fleet}/{run.attempt('a').id}"
        assert a["CALLBOARD_SOCKET"] == str(run.folder.control_socket)
        assert {name for name in a | b | c if name.startswith("CALLBOARD_")} == {"CALLBOARD_MARK", "CALLBOARD_SOCKET"}
        assert (a["LC_ALL"], a.get("JAVA_HOME"), a.get("SECRET")) == ("C", None, None)
        assert (b["LC_ALL"], b["JAVA_HOME"], b["X"], b.get("SECRET")) == ("C.UTF-8", "/java", "1 \n=é", None)
        assert c["SECRET"] == "s"


def test_a_worker_runs_in_the_folder_that_its_task_names(tmp_path: Path) -> None:
    (tmp_path / "sub é").mkdir()
    (tmp_path / "sub é" / "script").write_text("#!/bin/sh\npwd -P\n")
    (tmp_path / "sub é" / "script").chmod(0o700)
    plan = [task("a", ["pwd", "-P"]), task("b", ["./script"], cwd="sub é"), task("c", ["pwd", "-P"], cwd="/")]

    with running(tmp_path, *plan) as run:
        run.finish()

        folders = [run.spool(name).decode().strip() for name in "abc"]
        assert folders == [str(tmp_path), str(tmp_path / "sub é"), "/"]


def test_the_checkboxes_of_a_progress_file_are_progress(tmp_path: Path) -> None:
    script = """
        printf -- '- [x] one\\n- [ ] two\\n' > todo.md; echo working
        while [ ! -e seen ]; do sleep 0.005; done
        printf -- '- [x] one\\n- [x] two\\n' > todo.md; echo done
    """

    with running(tmp_path, task("a", script, progress_file="todo.md")) as run:
        seen = run.wait_for(WorkerProgress, "a")
        assert (seen.fraction, seen.label) == (0.5, "1/2 two")
        (tmp_path / "seen").touch()
        run.finish()

        assert run.events(WorkerProgress)[-1].fraction == 1.0


def test_checkboxes_count_more_than_numbers_in_the_output_and_are_read_when_all_is_done(tmp_path: Path) -> None:
    script = "echo 10%; printf -- '- [x] one\\n' > todo.md"

    with running(tmp_path, task("a", script, progress_file="todo.md"), task("b", ": > b.md; echo 30%")) as run:
        run.finish()

        assert run.events(WorkerProgress, "a")[-1].label == "1/1"
        assert run.events(WorkerProgress, "b")[-1].fraction == 0.3


def test_nobody_else_can_read_what_a_run_leaves_behind(tmp_path: Path) -> None:
    with running(tmp_path, task("a", "echo hello"), task("b", "exit 3")) as run:
        run.finish(1)

        modes = {path.relative_to(run.folder.root): path.stat().st_mode & 0o7777 for path in run.folder.root.rglob("*")}

    assert {path: mode for path, mode in modes.items() if mode & 0o077} == {}
    assert not any(path.suffix == ".sock" for path in modes)
