"""The program opencode: where it is, and which version of it."""

import contextlib
import os
import re
import select
import shutil
import signal
import tempfile
import time

__all__ = ["find_opencode"]

_DEADLINE = 10.0  # it is large: a second from a cold disk
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+\S*)")


def find_opencode(path: str, deadline: float = _DEADLINE) -> tuple[str, str]:
    """Its path and version, such as ``1.18.33``.

    Both are empty where it is not on this PATH; the version is, where the program does not tell it in time.
    """
    program = shutil.which("opencode", path=path) or ""
    return program, _version(program, path, deadline) if program else ""


def _version(program: str, path: str, deadline: float) -> str:
    """What it says. It may be another program of that name, and do anything."""
    with tempfile.TemporaryDirectory(prefix="callboard-doctor-") as home:  # it writes to its home even for this
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(ours, "rb", buffering=0) as output:
            try:
                pid = _start(program, {"HOME": home, "PATH": path}, theirs)
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
    found = _VERSION.fullmatch(said.decode(errors="replace").strip())
    return found[1] if found else ""


def _start(program: str, environ: dict[str, str], stdout: int) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
    ]
    return os.posix_spawn(program, [program, "--version"], environ, file_actions=actions, setpgroup=0)


def _read(fd: int, until: float) -> bytes:
    """To the end, for as long as it does not say more than a version has."""
    said = b""
    while len(said) < 200 and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([fd], [], [], left)
        data = os.read(fd, 200) if ready else b""
        if not data:
            break
        said += data
    return said
