"""From a request to a registered attempt: files first, so that a full disk refuses and does not lose."""

import errno
import os
import signal
import time
from collections.abc import Sequence
from itertools import chain
from math import inf
from pathlib import Path

from actors.keeper_process.allowance import Allowance
from actors.keeper_process.attempt import Attempt
from actors.keeper_process.cgroups import open_box, our_place
from actors.keeper_process.copier import open_spool
from actors.keeper_process.outfile import open_outfile, reopen_outfile
from actors.keeper_process.procfs import read_process
from actors.keeper_process.requests import Adopt, Spawn, Terms
from actors.keeper_process.spawn import FileLimit, StartError, spawn
from actors.keeper_process.status import Status, StatusFile
from actors.keeper_process.terminal import name_of, open_slave

__all__ = ["BOOT_ID", "Launched", "ends_of", "launch", "stdin_of", "take_over"]

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class Launched:
    """An attempt, and for each stream the ends and the spool file that the copier is to own."""

    def __init__(self, attempt: Attempt, ends: Sequence[tuple[int, ...]], spools: list[int]) -> None:
        """Raise ``OSError`` where descriptors run out."""
        self.attempt = attempt
        self.streams = list(zip(() if attempt.outfiles else attempt.streams, ends, spools, strict=True))
        self.allowance = Allowance(attempt.limits.spool_limit)
        self.outlets = frozenset([*map(_outlet, ends), *attempt.outlets, *map(_target, attempt.outfiles.values())])
        _box(attempt)
        attempt.ends = {stream: tuple(map(os.dup, each)) for stream, each, _ in self.streams}
        self.for_supervisor = [os.dup(fd) for fd in (*chain(*ends), *stdin_of(attempt))]


def stdin_of(attempt: Attempt) -> list[int]:
    """The write end that we hold, if it reads from us: the supervisor gets it too, or our death would be its EOF."""
    return [] if attempt.stdin is None else [attempt.stdin]


def ends_of(terms: Terms) -> int:
    """How many descriptors come with the output of an attempt."""
    if terms.direct:
        return 0
    return 3 if "terminal" in terms.spools else len(terms.spools)


def launch(request: Spawn, limit: FileLimit, now: float) -> Launched:
    """Start a worker. Raise `StartError`: its status file then says that it was never started."""
    terms = request.terms
    status, spools = _open_files(terms)
    try:
        status.write(Status("starting", terms.attempt, 0, 0, BOOT_ID))
        child = spawn(request, limit, spools if terms.direct else ())
    except (StartError, OSError) as exc:
        _close_all(spools)
        status.write(Status("ended", terms.attempt, 0, 0, BOOT_ID, reason="not-started"))
        status.close()
        raise exc if isinstance(exc, StartError) else _file_error(terms.status, exc) from exc
    try:
        process = read_process(child.pid)
        if process is None:
            raise ProcessLookupError(errno.ESRCH, "somebody else reaped our child")
        attempt = Attempt(
            terms, child.pid, process.start_ticks, at=time.time(), now=now, boot_id=BOOT_ID, status=status
        )
        attempt.stdin, attempt.slave = child.stdin, child.slave
        if terms.direct:
            attempt.outfiles, spools = _reopen(terms, spools), []
        return Launched(attempt, child.outputs, spools)
    except OSError as exc:  # descriptors ran out between the pipes and here
        os.killpg(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        _close_all([*chain(*child.outputs), *spools, *(fd for fd in (child.stdin, child.slave) if fd is not None)])
        raise _file_error(terms.status, exc) from exc


def take_over(request: Adopt, fds: list[int], now: float) -> Launched:
    """Go on with a worker of a keeper that died; ``fds`` are ours: the ends of its output and, if it reads from us,
    the write end of its input. Raise `StartError`; they are then closed."""
    try:
        status, spools = _open_files(request.terms)
        outfiles = _reopen(request.terms, spools) if request.terms.direct else {}
    except (StartError, OSError):
        _close_all(fds)
        raise
    attempt = Attempt(
        request.terms, request.pid, request.start_ticks, at=time.time(), now=now, boot_id=BOOT_ID, status=status
    )
    attempt.adopted = True
    count = ends_of(request.terms)
    attempt.outfiles = outfiles
    attempt.stdin = fds[count] if len(fds) > count else None
    attempt.pidfd = _open_pidfd(request)
    if "terminal" in attempt.streams:
        attempt.slave = open_slave(fds[0])
        return Launched(attempt, [tuple(fds[:count])], spools)
    return Launched(attempt, [(fd,) for fd in fds[:count]], [] if outfiles else spools)


def _reopen(terms: Terms, writers: list[int]) -> dict[str, int]:
    """The files that the worker writes itself, for us to look at; our ``writers`` are closed. Raise ``OSError``."""
    found: dict[str, int] = {}
    try:
        for stream, fd in zip(terms.spools, writers, strict=True):
            found[stream] = reopen_outfile(f"/proc/self/fd/{fd}")
    except OSError:
        _close_all([*found.values()])
        raise
    _close_all(writers)
    return found


def _target(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - as who looks for it reads it


def _box(attempt: Attempt) -> None:
    memory, place = attempt.limits.memory, our_place()
    if memory < inf and place is not None and (box := open_box(place, attempt.id, memory)) is not None:
        attempt.box = box
        box.put(attempt.pid)


def _outlet(ends: tuple[int, ...]) -> str:
    """Where the link of a descriptor of who writes to it leads."""
    return name_of(ends[0]) if len(ends) > 1 else f"pipe:[{os.fstat(ends[0]).st_ino}]"


def _open_pidfd(request: Adopt) -> int:
    """Of the worker. If it is gone already: a descriptor that says so at once, as a pidfd would."""
    try:
        pidfd = os.pidfd_open(request.pid)
    except ProcessLookupError:
        return _ended_pipe()
    process = read_process(request.pid)
    if process is not None and process.start_ticks == request.start_ticks:
        return pidfd
    os.close(pidfd)
    return _ended_pipe()


def _ended_pipe() -> int:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.close(writer)
    return reader


def _open_files(terms: Terms) -> tuple[StatusFile, list[int]]:
    try:
        status = StatusFile(terms.status)
    except OSError as exc:
        raise _file_error(terms.status, exc) from exc
    spools: list[int] = []
    for path in terms.spools.values():
        try:
            spools.append((open_outfile if terms.direct else open_spool)(os.fsdecode(path)))
        except OSError as exc:
            status.close()
            _close_all(spools)
            raise _file_error(path, exc) from exc
    return status, spools


def _file_error(path: bytes, cause: OSError) -> StartError:
    advice = "make room on the disk" if cause.errno in {errno.ENOSPC, errno.EDQUOT} else "make its folder writable"
    return StartError(cause, f'file "{path.decode("utf-8", "replace")}"', advice)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
