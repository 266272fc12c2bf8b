"""A process that goes on in the background, and who waits until it is ready."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.errors import UnreachableError
from supervisor.detaching import Announcer, start_detached
from tests.keeper_client import is_alive, wait_until_gone

BEGIN = (
    "import os, pathlib, sys, time\nfrom supervisor.detaching import Announcer\nannouncer = Announcer()\n"
    "pathlib.Path('pid').write_text(str(os.getpid()))\n"
)
READY = BEGIN + "print('it listens', file=sys.stderr)\nannouncer.announce()\nprint('nobody', file=sys.stderr)\n"


def start(script: str, *, patience: float = 25.0) -> int:
    return start_detached([sys.executable, "-c", script], patience=patience)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_lives_on_in_a_session_of_its_own_and_what_it_said_until_it_was_ready_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = start(READY + "time.sleep(1000)")

    pid = int((tmp_path / "pid").read_text())
    try:
        assert code == 0
        assert capsys.readouterr().err == "it listens\n"
        assert is_alive(pid)
        assert os.getsid(pid) == pid
        assert [str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in (0, 1, 2)] == [os.devnull] * 3
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_one_that_ends_before_gives_its_exit_code_and_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert start("import sys\nprint('error: no room', file=sys.stderr)\nsys.exit(2)") == 2
    assert capsys.readouterr().err == "error: no room\n"


def test_one_that_does_not_get_ready_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"not ready after 0\.2 s; it goes on, pid ") as caught:
        start("import time\ntime.sleep(1000)", patience=0.2)

    pid = int(str(caught.value).rsplit(" ", 1)[1])
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_whom_it_starts_before_it_is_ready_keeps_nobody_waiting(tmp_path: Path) -> None:
    script = BEGIN + (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '1000'], close_fds=False)\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "assert 'CALLBOARD_READY_FD' not in os.environ\nsys.exit(3)\n"
    )

    assert start(script) == 3

    child = int((tmp_path / "child").read_text())
    os.kill(child, signal.SIGKILL)
    wait_until_gone(child)


def test_without_anybody_who_waits_nothing_is_announced(capfd: pytest.CaptureFixture[str]) -> None:
    announcer = Announcer()

    announcer.announce()
    print("still here", file=sys.stderr)

    assert not announcer.detached
    assert capfd.readouterr().err == "still here\n"


def test_it_outlives_who_waits_for_it(tmp_path: Path) -> None:
    outer = (
        "import sys\nfrom supervisor.detaching import start_detached\n"
        f"sys.exit(start_detached([sys.executable, '-c', {READY + 'time.sleep(1000)'!r}], patience=25))"
    )

    subprocess.run([sys.executable, "-c", outer], check=True, timeout=25)

    pid = int((tmp_path / "pid").read_text())
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
