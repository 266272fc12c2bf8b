"""A supervisor that goes on without its terminal: started in a session of its own, and waited for until it is ready."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from protocols.errors import UnreachableError

__all__ = ["Announcer", "start_detached"]

_READY = "CALLBOARD_READY_FD"  # for nobody but the process that is started
_STDERR = 2


def start_detached(command: Sequence[str], *, patience: float) -> int:
    """Run ``command`` in the background. Return 0 once it has said that it is ready, else its exit code.

    What it writes to standard error until then comes out at ours. Raise `UnreachableError` where neither happens within
    ``patience`` seconds; then it goes on.
    """
    read, write = os.pipe()
    with tempfile.TemporaryFile() as said, open(read, "rb", buffering=0) as news:  # noqa: PTH123 - it is open
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, _READY: str(write)},
                pass_fds=(write,),
                start_new_session=True,
            )
        finally:
            os.close(write)
        try:
            return _wait(process, news, said, patience)
        except KeyboardInterrupt:
            process.terminate()
            raise
        finally:
            process.returncode = process.returncode or 0  # it is to outlive us


def _wait(process: subprocess.Popen[bytes], news: IO[bytes], said: IO[bytes], patience: float) -> int:
    deadline = time.monotonic() + patience
    if not select.select([news], [], [], patience)[0]:
        raise UnreachableError(f"callboard up: not ready after {patience:g} s; it goes on, pid {process.pid}")
    ready = bool(news.read(1))
    code = 0 if ready else process.wait(max(deadline - time.monotonic(), 1.0))
    said.seek(0)
    sys.stderr.write(said.read().decode(errors="replace"))
    sys.stderr.flush()
    return code


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
