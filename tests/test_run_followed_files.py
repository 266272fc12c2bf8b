"""Whole runs that follow files which others write, rotate, cut, or never make."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocols.adoption_events import WorkerAdopted
from protocols.events import WorkerExited, WorkerGap, WorkerMismatch, WorkerOutput, WorkerStarted
from tests.process_trees import wait_until
from tests.running import RunningPlan, callboard, resumed, running, task
from tests.writers import has_line_numbers

_DAEMON = """
import os, signal, sys
path = sys.argv[1]
def reopen(*_):
    global fd
    new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.close(fd)
    fd = new
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
signal.signal(signal.SIGHUP, lambda *_: hung.append(1))
hung, number = [], 0
while os.getppid() == int(sys.argv[2]):
    block = b"".join(b"%15d\\n" % line for line in range(number, number + 512))
    os.write(fd, block)
    number += 512
    if hung:
        hung.clear()
        reopen()
"""
_LINE = 16


@contextmanager
def _daemon(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Writes numbered lines at full speed, and opens its log file anew at SIGHUP."""
    command = [sys.executable, "-I", "-S", "-c", _DAEMON, str(log), str(os.getpid())]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def _follow(name: str = "a", path: str = "log", **keys: object) -> str:
    """A task that only follows a file."""
    said = ", ".join(f'{key} = "{value}"' for key, value in {"path": path, **keys}.items())
    return f'[[tasks]]\nid = "{name}"\nsource = "logfile"\nlogfile = {{ {said} }}\n'


def _size(run: RunningPlan, name: str = "a") -> int:
    path = run.spool_path(name, stream="log")
    return path.stat().st_size if path.exists() else 0


def _wait_for_more(run: RunningPlan, size: int) -> None:
    run.wait_until(lambda: _size(run) > size)


def test_a_daemon_at_full_speed_is_followed_through_rotations_by_rename(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with _daemon(log) as daemon, running(tmp_path, _follow()) as run:
        written = 0
        for number in range(5):
            _wait_for_more(run, written)
            rotated = log.rename(tmp_path / f"log.{number}")
            daemon.send_signal(signal.SIGHUP)
            run.wait_until(log.exists)
            written += rotated.stat().st_size
        _wait_for_more(run, written)
        daemon.kill()
        daemon.wait()
        total = written + log.stat().st_size
        run.wait_until(lambda: _size(run) == total)
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert not run.events(WorkerGap)
        assert not run.events(WorkerMismatch)
        assert has_line_numbers(run.spool("a", stream="log"))
        assert run.wait_for(WorkerExited, "a").log_bytes == total


def test_of_a_daemon_at_full_speed_each_loss_by_copytruncate_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with _daemon(log) as daemon, running(tmp_path, _follow()) as run:
        size = 0
        for _ in range(4):
            _wait_for_more(run, size)
            (tmp_path / "log.1").write_bytes(log.read_bytes())
            gaps = len(run.events(WorkerGap))
            os.truncate(log, 0)
            run.wait_for(WorkerGap, "a", gaps + 1)
            size = _size(run)
        daemon.kill()
        daemon.wait()
        run.signal(signal.SIGTERM)
        run.finish(130)

        text, gaps_told = run.spool("a", stream="log"), run.events(WorkerGap)
        places = [0, *(gap.offset for gap in gaps_told), len(text)]
        assert all(gap.lost is None and gap.why == f'"{log}" was cut' for gap in gaps_told)
        for start, end in itertools.pairwise(places):
            assert _counts_on(text[start:end])
        assert not run.events(WorkerMismatch)
        assert sum(event.length for event in run.events(WorkerOutput, "a")) == len(text)


def _counts_on(text: bytes) -> bool:
    """Whether each line has the number after that of the line before; the last one may be cut."""
    numbers = [int(text[at : at + _LINE]) for at in range(0, len(text) - _LINE + 1, _LINE)]
    return not numbers or numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_rotations_faster_than_any_look_lose_nothing_in_silence(tmp_path: Path) -> None:
    script = """
import os
number = 0
for turn in range(400):
    fd = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, b"".join(b"%15d\\n" % line for line in range(number, number + 64)))
    number += 64
    os.close(fd)
    os.rename("log", f"log.{turn % 3}")
"""
    command = [sys.executable, "-I", "-S", "-c", script]
    with running(tmp_path, task("a", command, source="logfile", logfile={"path": "log"})) as run:
        run.finish()

        text = run.spool("a", stream="log")
        places = [0, *(gap.offset for gap in run.events(WorkerGap)), len(text)]
        for start, end in itertools.pairwise(places):
            assert _counts_on(text[start:end])
        whole = text[-_LINE:] == b"%15d\n" % (400 * 64 - 1)
        assert whole or run.events(WorkerGap)[-1].offset == len(text)


def test_two_tasks_on_one_file_have_all_of_it_and_it_is_open_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\n")
    (tmp_path / "link").symlink_to(log)
    with running(tmp_path, _follow("a", until="DONE"), _follow("b", path="link", until="DONE")) as run:
        for name in "ab":
            run.wait_until(lambda name=name: _size(run, name) == 6)  # type: ignore[misc] # of this turn
        links = [os.path.realpath(link) for link in Path(f"/proc/{run.process.pid}/fd").iterdir()]
        with log.open("a") as file:
            file.write("second\nDONE\n")
        run.finish()

        assert links.count(str(log)) == 1
        for name in "ab":
            assert run.spool(name, stream="log") == b"first\nsecond\nDONE\n"
            assert callboard(tmp_path, "logs", run.fleet.name, name).stdout == "first\nsecond\nDONE\n"
            assert (run.attempt(name).reason, run.attempt(name).log.lines) == ("sentinel", 3)


def test_what_a_file_ends_with_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\nhalf \xc3")
    with running(tmp_path, _follow(), options=("--show-output",)) as run:
        run.wait_until(lambda: _size(run) == 10)
        with (tmp_path / "log").open("ab") as file:
            file.write(b"\xa4 and \xe2\x82")
        run.wait_until(lambda: _size(run) == 18)
        run.signal(signal.SIGTERM)
        run.finish(130)

        assert run.spool("a", stream="log") == b"one\nhalf \xc3\xa4 and \xe2\x82"
        shown = run.stdout.decode()
        assert "a | one\n" in shown and "a | half \u00e4 and \ufffd\n" in shown


def test_a_file_that_does_not_appear_fails_its_task_and_ends_its_command(tmp_path: Path) -> None:
    command = task("b", "exec sleep 1000", source="logfile", logfile={"path": "none", "appear_within": "50ms"})
    with running(tmp_path, _follow("a", path="none", appear_within="50ms"), command) as run:
        run.finish(1)

        why = f'logfile "{tmp_path}/none": it did not appear within 50ms; correct the path, or raise appear_within'
        for name in "ab":
            assert (run.task(name).status, run.task(name).reason) == ("failed", why)
        assert run.wait_for(WorkerExited, "b").signal == "SIGTERM"
        assert f"a: failed: {why}" in run.stdout.decode()


def test_a_file_that_is_followed_is_shown_without_a_process(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("text\n")
    with running(tmp_path, _follow()) as run:
        assert run.wait_for(WorkerStarted, "a").pid == 0
        run.wait_until(lambda: _size(run) == 5)
        status = callboard(tmp_path, "status").stdout
        callboard(tmp_path, "stop")
        run.finish(130)

        assert "running" in status
        assert f"a: follows {tmp_path}/log\n" in run.stdout.decode()
        assert run.task("a").reason == "it was followed until then"


def test_a_run_of_a_file_that_was_killed_says_that_nobody_followed_it_any_more(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("text\n")
    with running(tmp_path, _follow()) as run:
        run.wait_until(lambda: _size(run) == 5)
        run.wait_for(WorkerOutput, "a")
        run.signal(signal.SIGKILL)
        run.process.wait()
        callboard(tmp_path, "runs")

        exited = run.wait_for(WorkerExited, "a")
        (gap,) = run.events(WorkerGap, "a")
        assert (exited.reason, exited.log_bytes) == ("orphaned", 5)
        assert exited.error == "callboard was killed, and nobody followed its file any more"
        assert (gap.offset, gap.lost, gap.cut) == (5, None, False)
        assert gap.why == f"callboard was killed; what {tmp_path}/log got since is only there"


def test_a_killed_run_goes_on_with_a_file_that_nothing_but_callboard_follows(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\n")
    with running(tmp_path, _follow(until="DONE")) as run:
        run.wait_until(lambda: _size(run) == 4)
        run.wait_for(WorkerOutput, "a")
        run.signal(signal.SIGKILL)
        run.process.wait()
        with log.open("a") as file:
            file.write("two\nDONE\n")

        with resumed(tmp_path) as again:
            again.finish()

            assert again.spool("a", stream="log") == b"one\ntwo\nDONE\n"
            assert again.wait_for(WorkerAdopted, "a").pid == 0
            exited = again.wait_for(WorkerExited, "a")
            assert (exited.reason, exited.log_bytes) == ("sentinel", 13)
            assert "a: is followed again\n" in again.stdout.decode()
            assert not again.events(WorkerGap) and not again.events(WorkerMismatch)


def test_what_a_command_logged_and_how_it_ended_while_nobody_followed_it_is_found_out(tmp_path: Path) -> None:
    script = "echo one >> log; until [ -e go ]; do sleep 0.01; done; echo two >> log; exit 7"
    plan = task("a", script, source="logfile", logfile={"path": "log"})
    with running(tmp_path, plan, options=("--durable",)) as run:
        run.wait_until(lambda: _size(run) == 4)
        run.signal(signal.SIGKILL)
        run.process.wait()
        (tmp_path / "go").touch()
        wait_until(lambda: not run.fleet.keeper_lives())

        with resumed(tmp_path) as again:
            again.finish(1)

            exited = again.wait_for(WorkerExited, "a")
            assert (exited.code, exited.reason, exited.log_bytes) == (7, "exit", 8)
            assert again.spool("a", stream="log") == b"one\ntwo\n"
            assert sum(event.length for event in again.events(WorkerOutput, "a")) == 8
            assert not again.events(WorkerGap) and not again.events(WorkerMismatch)


def test_what_a_worker_cut_off_its_own_file_while_nobody_followed_it_is_told(tmp_path: Path) -> None:
    script = "echo a long line; until [ -e go ]; do sleep 0.01; done; : > /dev/stdout; echo b; touch gone; sleep 0.2"
    with running(tmp_path, task("a", script, source="logfile"), options=("--durable",)) as run:
        run.wait_for(WorkerOutput, "a")
        run.signal(signal.SIGKILL)
        run.process.wait()
        (tmp_path / "go").touch()
        wait_until((tmp_path / "gone").exists)

        with resumed(tmp_path) as again:
            again.finish()

            (gap,) = again.events(WorkerGap, "a")
            assert (gap.offset, gap.lost, gap.cut) == (0, 12, True)
            assert again.spool("a") == b"b\n"
            assert not again.events(WorkerMismatch)


def test_what_cannot_be_followed_is_told_before_anything_starts(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "plan.toml").write_text(_follow("a", "fifo") + _follow("b", "folder") + _follow("c", "/dev/null"))

    said = callboard(tmp_path, "run", "plan.toml", code=2).stderr

    assert said.splitlines() == [
        f'error: plan.toml: tasks[{number}].logfile.path: "{path}" is no file; name one'
        for number, path in enumerate([tmp_path / "fifo", tmp_path / "folder", "/dev/null"])
    ]
