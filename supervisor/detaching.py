"""A supervisor that goes on without its terminal: started in a session of its own, and waited for until it is ready."""

import os
import select
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from protocols.errors import UnreachableError

__all__ = ["Announcer", "start_detached"]

_READY = "CALLBOARD_READY_FD"  # for nobody but the process that is started
_STDERR = 2
_PIPE = 3  # there


def start_detached(command: Sequence[str], *, patience: float) -> int:
    """Run ``command``, which begins with the path of a program, in the background. Return 0 once it has said that it is
    ready, else its exit code.

    What it writes to standard error until then comes out at ours. Raise `UnreachableError` where neither happens within
    ``patience`` seconds; then it goes on.
    """
    read, write = os.pipe()
    with tempfile.TemporaryFile() as said, os.fdopen(read, "rb", buffering=0) as news:
        try:
            pid = _spawn(command, write, said.fileno())
        finally:
            os.close(write)
        try:
            code = _wait(pid, news, patience)
        except KeyboardInterrupt:
            os.kill(pid, signal.SIGTERM)
            raise
        said.seek(0)
        sys.stderr.write(said.read().decode(errors="replace"))
        sys.stderr.flush()
    return code


def _spawn(command: Sequence[str], ready: int, stderr: int) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, stderr, _STDERR),
        (os.POSIX_SPAWN_DUP2, ready, _PIPE),
    ]
    environ = {**os.environ, _READY: str(_PIPE)}
    return os.posix_spawn(command[0], tuple(command), environ, file_actions=actions, setsid=True, setsigmask=[])


def _wait(pid: int, news: IO[bytes], patience: float) -> int:
    if not select.select([news], [], [], patience)[0]:
        raise UnreachableError(f"callboard up: not ready after {patience:g} s; it goes on, pid {pid}")
    if news.read(1):
        return 0
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])  # nobody else has the other end of the pipe


class Announcer:
    """The other side: says, once, that we are ready."""

    def __init__(self) -> None:
        """Nobody whom we start learns of it."""
        value = os.environ.pop(_READY, "")
        self._fd = int(value) if value.isdecimal() else None
        if self._fd is not None:
            with suppress(OSError):
                os.set_inheritable(self._fd, False)

    @property
    def detached(self) -> bool:
        """Somebody waits for us, and nobody reads what we print behind that."""
        return self._fd is not None

    def announce(self) -> None:
        """From now on nobody reads what we print."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
        with suppress(OSError):  # who waited is gone
            os.write(fd, b"\n")
        with suppress(OSError):
            os.close(fd)
