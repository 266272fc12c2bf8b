"""Starting one process: its pipes, its input, its limits, and errors that say what to do."""

import errno
import os
import resource
import signal
from pathlib import Path
from typing import NamedTuple

from actors.keeper_process.low import LowDescriptors
from actors.keeper_process.requests import Spawn, Stdin

__all__ = ["Child", "FileLimit", "StartError", "spawn"]

OOM_SCORE = b"500"  # when memory runs out the kernel is to take a worker, not the keeper
_ALL_SIGNALS = sorted(signal.valid_signals())
_ADVICE = {
    errno.ENOENT: "install it or correct the command",
    errno.ENOEXEC: "it has no #! line and is no program; begin it with '#!/bin/sh' or set shell = true",
    errno.EACCES: "it may not be executed; run 'chmod +x' on it, or name a program instead of a folder",
    errno.E2BIG: "its arguments and environment are too long; pass the data by a file or stdin",
    errno.EAGAIN: "there are too many processes; raise 'ulimit -u' or lower the concurrency",
}


class StartError(Exception):
    """Nothing was started. ``code`` is the errno's name."""

    def __init__(self, cause: OSError, what: str, advice: str) -> None:
        super().__init__(f"{what}: {cause.strerror}; {advice}")
        self.code = errno.errorcode.get(cause.errno or errno.EIO, "EIO")


class Child(NamedTuple):
    pid: int
    stdin: int | None
    """The write end, where stdin is a pipe."""
    stdout: int
    stderr: int
    """The read ends."""


class FileLimit:
    """RLIMIT_NOFILE: the keeper takes all that it can get, the workers get what the user had set."""

    def __init__(self) -> None:
        self._original = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.low = LowDescriptors(3)
        self.raise_own()

    def raise_own(self) -> None:
        hard = self._original[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def give_back(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self._original)


def spawn(request: Spawn, limit: FileLimit) -> Child:
    """Start the command in a new session, with default signals. Raise `StartError`."""
    opened: list[int] = []
    try:
        stdin, writer = _open_stdin(request.stdin, opened)
        out_read, out_write = _pipe(opened)
        err_read, err_write = _pipe(opened)
        pid = _execute(request, (stdin, out_write, err_write), limit)
    except BaseException:
        _close_all(opened)
        raise
    kept = {out_read, err_read, writer}
    _close_all([fd for fd in opened if fd not in kept])
    _offer_to_the_oom_killer(pid)
    return Child(pid, writer, out_read, err_read)


def _execute(request: Spawn, streams: tuple[int, int, int], limit: FileLimit) -> int:
    _enter(request.cwd)
    limit.give_back()
    try:
        with limit.low.hold(streams) as places:
            return os.posix_spawn(
                request.executable,
                request.argv,
                request.env,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(places)],
                setsid=True,
                setsigmask=(),
                setsigdef=_ALL_SIGNALS,
            )
    except OSError as exc:
        raise _explain(request.executable, exc) from exc
    finally:
        limit.raise_own()
        os.chdir("/")  # the keeper holds on to nobody's folder


def _enter(cwd: bytes) -> None:
    try:
        os.chdir(cwd)
    except OSError as exc:
        raise StartError(exc, f'cwd "{_show(cwd)}"', "make the folder or correct cwd") from exc


def _explain(executable: bytes, cause: OSError) -> StartError:
    """To be called while the worker's cwd is ours."""
    number = cause.errno or errno.EIO
    advice = _ADVICE.get(number, "correct the command")
    if number == errno.ENOENT and os.path.exists(executable):  # noqa: PTH110 - a path of bytes
        advice = "it exists, but not the interpreter that its #! line names; install that or correct the line"
    return StartError(cause, f'command "{_show(executable)}"', advice)


def _open_stdin(stdin: Stdin, opened: list[int]) -> tuple[int, int | None]:
    """The read end and, for a pipe, the write end."""
    match stdin.kind:
        case "pipe":
            return _pipe(opened)
        case "text":
            opened.append(_memory_file(stdin.data))
        case "file":
            opened.append(_open_file(stdin.data))
        case _:
            opened.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    return opened[-1], None


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("stdin", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _open_file(path: bytes) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)  # a FIFO must not hold us up
    except OSError as exc:
        raise StartError(exc, f'stdin file "{_show(path)}"', "correct stdin.file") from exc
    os.set_blocking(fd, True)
    return fd


def _pipe(opened: list[int]) -> tuple[int, int]:
    try:
        ends = os.pipe2(os.O_CLOEXEC)
    except OSError as exc:
        raise StartError(exc, "pipes", "raise 'ulimit -n' or lower the concurrency") from exc
    opened.extend(ends)
    return ends


def _offer_to_the_oom_killer(pid: int) -> None:
    """Only ever raises the score: lowering it is not for everybody."""
    path = Path(f"/proc/{pid}/oom_score_adj")
    try:
        if int(path.read_bytes()) < int(OOM_SCORE):
            path.write_bytes(OOM_SCORE)
    except (OSError, ValueError):
        return


def _show(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
