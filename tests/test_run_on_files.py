"""Workers that write their spool files themselves: what they cut off is told, and whoever reads goes on behind it."""

import os
import subprocess
from pathlib import Path

from protocols.events import WorkerExited, WorkerGap, WorkerMismatch, WorkerOutput, WorkerStarted
from protocols.ids import WorkerId
from supervisor.report import StreamReport
from tests.keeper_client import is_alive
from tests.running import CALLBOARD, RunningPlan, callboard, python, running, task

_CUT = "os.close(os.open('/dev/stdout', os.O_WRONLY | os.O_TRUNC))\n"
_SAY = """
import os, time
def say(text): os.write(1, text)
def wait(name):
    while not os.path.exists(name): time.sleep(0.005)
"""


def _covered(run: RunningPlan, name: str = "a") -> list[tuple[int, int] | WorkerGap]:
    """Of stdout: what records tell, neighbours as one."""
    told: list[tuple[int, int] | WorkerGap] = []
    for event in run.events(object, name):
        if isinstance(event, WorkerGap):
            told.append(event)
        elif isinstance(event, WorkerOutput) and event.stream == "stdout":
            last = told[-1] if told else None
            if isinstance(last, tuple) and last[1] == event.offset:
                told[-1] = (last[0], event.offset + event.length)
            else:
                told.append((event.offset, event.offset + event.length))
    return told


def test_what_a_worker_cuts_off_is_told_at_once_and_everywhere(tmp_path: Path) -> None:
    script = f"{_SAY}say(b'first line\\nhalf')\nwait('go')\n{_CUT}wait('on')\nsay(b'second\\n')\n"
    with running(tmp_path, python("a", script, source="logfile"), options=("--show-output",)) as run:
        run.wait_until(lambda: b"a | first line\n" in run.stdout)
        (tmp_path / "go").touch()
        gap = run.wait_for(WorkerGap, "a")
        status = callboard(tmp_path, "status").stdout
        (tmp_path / "on").touch()
        run.finish()

        why = "the worker cut the file that it writes"
        assert (gap.stream, gap.offset, gap.lost, gap.why, gap.cut) == ("stdout", 0, 15, why, True)
        assert _covered(run) == [(0, 15), gap, (0, 7)]
        assert run.spool("a") == b"second\n"
        assert run.wait_for(WorkerExited, "a").stdout_bytes == 7
        assert not run.events(WorkerMismatch)
        text = f"GAP in stdout: 15 bytes are lost: {why}"
        assert text in status
        assert f"a: {text}\n" in run.stdout.decode()
        shown = run.stdout.decode()
        assert shown.index("a | half\n") < shown.index("a | second\n")
        attempt = run.attempt("a")
        assert (attempt.gaps, attempt.lost, attempt.stdout) == (1, 15, StreamReport(bytes=7, lines=1))
        assert "1 gap in its output, 15 B or more" in run.folder.report_markdown.read_text()


def test_a_cut_is_noticed_although_the_file_has_grown_past_its_old_size_since(tmp_path: Path) -> None:
    script = f"{_SAY}say(b'a' * 100)\nwait('go')\n{_CUT}say(b'b' * 3000)\n"
    with running(tmp_path, python("a", script, source="logfile")) as run:
        run.wait_for(WorkerOutput, "a")
        (tmp_path / "go").touch()
        run.finish()

        (gap,) = run.events(WorkerGap, "a")
        assert _covered(run) == [(0, 100), gap, (0, 3000)]
        assert run.spool("a") == b"b" * 3000


def test_logs_follow_a_file_that_is_cut(tmp_path: Path) -> None:
    script = f"{_SAY}say(b'first\\n')\nwait('go')\n{_CUT}say(b'second, and longer\\n')\nwait('end')\n"
    with running(tmp_path, python("a", script, source="logfile")) as run:
        run.wait_for(WorkerOutput, "a")
        with subprocess.Popen(
            [CALLBOARD, "logs", run.fleet.name, "a", "--follow"], cwd=tmp_path, stdout=subprocess.PIPE
        ) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == b"first\n"
            (tmp_path / "go").touch()
            assert follower.stdout.readline() == b"second, and longer\n"
            (tmp_path / "end").touch()
            run.finish()

            assert follower.stdout.read() == b""


def test_both_streams_are_the_workers_own_files(tmp_path: Path) -> None:
    script = "import os; print(os.readlink('/proc/self/fd/1')); os.write(2, os.readlink('/proc/self/fd/2').encode())"
    with running(tmp_path, python("a", script, source="logfile")) as run:
        run.finish()

        for stream in ("stdout", "stderr"):
            path = os.fspath(run.folder.spool(WorkerId("a"), 1, "stdout" if stream == "stdout" else "stderr"))
            assert Path(path).read_text().strip() == os.path.realpath(path)


def test_who_writes_the_file_from_outside_of_the_tree_is_waited_for(tmp_path: Path) -> None:
    """As with a pipe that somebody else has got: nothing of the worker is left, and yet more comes."""
    script = "echo mine; touch ready; while [ ! -e go ]; do sleep 0.01; done"
    with running(tmp_path, task("a", script, source="logfile"), settings='[stop]\nlinger = "1h"\n') as run:
        run.wait_until((tmp_path / "ready").exists)
        worker = run.wait_for(WorkerStarted, "a").pid
        with run.spool_path("a").open("ab") as outside:
            (tmp_path / "go").touch()
            run.wait_until(lambda: not is_alive(worker))
            outside.write(b"from outside\n")
        run.finish()

        assert run.spool("a") == b"mine\nfrom outside\n"
        assert run.wait_for(WorkerExited, "a").stdout_bytes == 18
