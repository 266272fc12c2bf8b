"""What a program says when it is asked for its version."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Mapping

__all__ = ["ask_version"]

_LONGEST = 200


def ask_version(argv: tuple[str, ...], environ: Mapping[str, str], deadline: float) -> str:
    """The first of what it prints; it may be another program of that name, and do anything.

    It gets ``deadline`` seconds, then it and its group are killed. Empty where it cannot be started.
    """
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(ours, "rb", buffering=0) as output:
        try:
            pid = _start(argv, environ, theirs)
        except OSError:
            return ""
        finally:
            os.close(theirs)
        try:
            said = _read(output.fileno(), time.monotonic() + deadline)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return said.decode(errors="replace").strip()


def _start(argv: tuple[str, ...], environ: Mapping[str, str], stdout: int) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
    ]
    return os.posix_spawn(argv[0], argv, environ, file_actions=actions, setpgroup=0)


def _read(fd: int, until: float) -> bytes:
    """To the end, for as long as it does not say more than a version has."""
    said = b""
    while len(said) < _LONGEST and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([fd], [], [], left)
        data = os.read(fd, _LONGEST) if ready else b""
        if not data:
            break
        said += data
    return said
