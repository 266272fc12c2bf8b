import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import Process, read_process
from tests.process_trees import Trees, open_trees


@pytest.fixture
def trees() -> Iterator[Trees]:
    with open_trees() as opened:
        yield opened


def test_a_signal_reaches_the_process(trees: Trees) -> None:
    leader = trees.start("read line")

    assert send_signal(leader.process, signal.SIGTERM)

    assert os.waitstatus_to_exitcode(os.waitpid(leader.process.pid, 0)[1]) == -signal.SIGTERM


def test_a_process_that_is_gone_is_told_as_such(trees: Trees) -> None:
    leader = trees.start("exit 0")
    os.waitpid(leader.process.pid, 0)

    assert not send_signal(leader.process, signal.SIGTERM)


def test_a_zombie_cannot_be_signalled(trees: Trees) -> None:
    leader = trees.start("exit 0")
    os.waitid(os.P_PID, leader.process.pid, os.WEXITED | os.WNOWAIT)

    assert not send_signal(leader.process, signal.SIGKILL)


def test_who_has_the_pid_of_another_process_now_is_left_alone(trees: Trees) -> None:
    leader = trees.start("read line")
    earlier = leader.process._replace(start_ticks=leader.process.start_ticks - 1)

    assert not send_signal(earlier, signal.SIGKILL)

    assert trees.process(leader.process.pid).alive


def test_a_process_of_another_user_is_a_permission_error() -> None:
    with another_user() as process, pytest.raises(PermissionError):
        send_signal(process, signal.SIGUSR1)


@contextlib.contextmanager
def another_user() -> Iterator[Process]:
    """A process that we may not signal. Root has to be somebody else for that."""
    if os.geteuid() != 0:
        yield _read(1)
        return
    with subprocess.Popen(["sleep", "600"], user=12345) as child:
        os.seteuid(54321)
        try:
            yield _read(child.pid)
        finally:
            os.seteuid(0)
            child.kill()


def _read(pid: int) -> Process:
    process = read_process(pid)
    assert process is not None
    return process
