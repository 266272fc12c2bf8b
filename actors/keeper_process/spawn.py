"""Starting one process: its pipes or its terminal, its input, its limits, and errors that say what to do."""

import errno
import os
import resource
import signal
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeAlias

from actors.keeper_process.binding import bind, with_niceness
from actors.keeper_process.fields import Window
from actors.keeper_process.low import LowDescriptors
from actors.keeper_process.requests import Spawn, Stdin
from actors.keeper_process.terminal import name_of, open_terminal

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


_Action: TypeAlias = tuple[int, int, int] | tuple[int, int, str, int, int]
"""Of the file actions of ``posix_spawn``."""


class StartError(Exception):
    """Nothing was started. ``code`` is the errno's name."""

    def __init__(self, cause: OSError, what: str, advice: str) -> None:
        super().__init__(f"{what}: {cause.strerror}; {advice}")
        self.code = errno.errorcode.get(cause.errno or errno.EIO, "EIO")


class Child(NamedTuple):
    pid: int
    stdin: int | None
    """The write end, where stdin is a pipe."""
    outputs: list[tuple[int, ...]]
    """For each stream, what the copier takes."""
    slave: int | None
    """Of its terminal."""


class FileLimit:
    """RLIMIT_NOFILE: the keeper takes all that it can get, the workers get what the user had set."""

    def __init__(self) -> None:
        self._original = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.low = LowDescriptors(3)
        self.raise_own()

    def raise_own(self) -> None:
        hard = self._original[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def give_back(self, wanted: int | None = None) -> None:
        """The user's own limit; or another one, of which only the soft half is ours to take back afterwards."""
        soft, hard = self._original
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft if wanted is None else wanted, hard))

    def check(self, wanted: int | None) -> None:
        """Raise `StartError` for more than the hard limit."""
        hard = self._original[1]
        if wanted is not None and hard != resource.RLIM_INFINITY and wanted > hard:
            what = f"limits.open_files {wanted}, of at most {hard} here"
            raise StartError(OSError(errno.EPERM, "not permitted"), what, "lower it, or raise 'ulimit -Hn'")


def spawn(request: Spawn, limit: FileLimit, outfiles: Sequence[int] = ()) -> Child:
    """Start the command in a new session, with default signals. Raise `StartError`.

    ``outfiles``: what becomes its stdout and stderr, of one that writes its files itself. They stay the caller's.
    """
    opened: list[int] = []
    limit.check(request.terms.limits.open_files)
    try:
        child = _start(request, limit, outfiles, opened)
    except BaseException:
        _close_all(opened)
        raise
    kept = {child.stdin, child.slave, *chain(*child.outputs)}
    _close_all([fd for fd in opened if fd not in kept])
    _offer_to_the_oom_killer(child.pid)
    bind(child.pid, request.terms.limits)
    return child


def _start(request: Spawn, limit: FileLimit, outfiles: Sequence[int], opened: list[int]) -> Child:
    if request.terms.tty:
        return _start_on_foreign_terminal(request, limit, opened)
    if request.window is not None:
        return _start_on_terminal(request, request.window, limit, opened)
    stdin, writer = _open_stdin(request.stdin, opened)
    if outfiles:
        return Child(_execute(request, [stdin, *outfiles], [], limit), writer, [], None)
    out_read, out_write = _pipe(opened)
    err_read, err_write = _pipe(opened)
    pid = _execute(request, [stdin, out_write, err_write], [], limit)
    return Child(pid, writer, [(out_read,), (err_read,)], None)


def _start_on_terminal(request: Spawn, window: Window, limit: FileLimit, opened: list[int]) -> Child:
    """As a shell there would: where stdin is something else, that is redirected and the rest is the terminal."""
    ends, slave = _terminal(window, opened)
    pid, writer = _execute_on(name_of(ends[0]), request, limit, opened)
    return Child(pid, writer, [ends], slave)


def _start_on_foreign_terminal(request: Spawn, limit: FileLimit, opened: list[int]) -> Child:
    """Who gave us its name holds it open, so that nobody else gets that name meanwhile."""
    pid, writer = _execute_on(os.fsdecode(request.terms.tty), request, limit, opened)
    return Child(pid, writer, [], None)


def _execute_on(terminal: str, request: Spawn, limit: FileLimit, opened: list[int]) -> tuple[int, int | None]:
    stdin, writer = (None, None) if request.stdin.kind == "none" else _open_stdin(request.stdin, opened)
    first = 0 if stdin is None else 1
    # The first terminal that the leader of a session opens controls it.
    actions: list[_Action] = [(os.POSIX_SPAWN_OPEN, first, terminal, os.O_RDWR, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, first, number) for number in range(first + 1, 3)]
    return _execute(request, [] if stdin is None else [stdin], actions, limit), writer


def _execute(request: Spawn, streams: list[int], actions: list[_Action], limit: FileLimit) -> int:
    """``streams`` become the first descriptors of the command; ``actions`` make what comes after them."""
    _enter(request.cwd)
    limit.give_back(request.terms.limits.open_files)
    try:
        with limit.low.hold(streams) as places:
            copies: list[_Action] = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(places)]
            return with_niceness(request.terms.limits.nice, lambda: _posix_spawn(request, [*copies, *actions]))
    except OSError as exc:
        raise _explain(request.executable, exc) from exc
    finally:
        limit.raise_own()
        os.chdir("/")  # the keeper holds on to nobody's folder


def _posix_spawn(request: Spawn, actions: list[_Action]) -> int:
    return os.posix_spawn(
        request.executable,
        request.argv,
        request.env,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=_ALL_SIGNALS,
    )


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


def _terminal(window: Window, opened: list[int]) -> tuple[tuple[int, ...], int]:
    try:
        return open_terminal(window, opened)
    except OSError as exc:
        if exc.errno == errno.ENOSPC:  # that is no full disk
            exc = OSError(errno.EAGAIN, "all of them are in use")
        advice = "raise 'ulimit -n' or 'sysctl kernel.pty.max', or lower the concurrency"
        raise StartError(exc, "a terminal", advice) from exc


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
