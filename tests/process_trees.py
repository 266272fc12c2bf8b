"""Real process trees for tests: we are their subreaper for a while, and nothing of them is left afterwards."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from actors.keeper_process.ancestry import descendants
from actors.keeper_process.procfs import Process, read_process

__all__ = ["Leader", "Trees", "open_trees", "wait_until"]

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 20.0


class Leader(NamedTuple):
    process: Process
    pipe: str
    """The pipe that is its stdout, as /proc names it."""
    output: int
    """The read end of that pipe."""
    stdin: int


class Trees:
    """Starts leaders of sessions, as a keeper does, and reaps whatever comes to us."""

    def __init__(self) -> None:
        self._fds: list[int] = []

    def start(self, script: str, env: Mapping[str, str] | None = None) -> Leader:
        """Run a shell script with pipes as stdin and stdout."""
        stdin, feed = os.pipe()
        output, stdout = os.pipe()
        pid = os.posix_spawnp(
            "sh",
            ["sh", "-c", script],
            {"PATH": os.environ["PATH"], **(env or {})},
            file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)],
            setsid=True,
        )
        pipe = f"pipe:[{os.fstat(stdout).st_ino}]"
        os.close(stdin)
        os.close(stdout)
        self._fds += [feed, output]
        return Leader(self.process(pid), pipe, output, feed)

    def read_pid(self, leader: Leader) -> int:
        """The pid on the next line that the script prints."""
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(leader.output, 1)
            assert byte, f"the script ended after {line!r}"
            line += byte
        return int(line)

    def process(self, pid: int) -> Process:
        process = read_process(pid)
        assert process is not None
        return process

    def end_leader(self, leader: Leader) -> None:
        """Let a script that waits in ``read`` go on to its end, and reap it."""
        os.close(leader.stdin)
        self._fds.remove(leader.stdin)
        os.waitpid(leader.process.pid, 0)

    def reap(self) -> None:
        """Reap every child that has ended."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def end_all(self) -> None:
        for fd in self._fds:
            os.close(fd)
        while left := descendants(os.getpid()):
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            self.reap()


@contextlib.contextmanager
def open_trees() -> Iterator[Trees]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    trees = Trees()
    try:
        yield trees
    finally:
        trees.end_all()
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again; fail if it never comes true."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.001)
