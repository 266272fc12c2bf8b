"""The keeper program: ``FLEET_FOLDER FLEET_ID`` as arguments, the listening socket as descriptor 0."""

import ctypes
import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path

from actors.keeper_process.connections import Connections
from actors.keeper_process.fleet import Fleet
from actors.keeper_process.loop import Loop, boottime
from actors.keeper_process.operations import Operations

__all__ = ["main"]

_FIRST_CONNECTION_WAIT = 10.0
_LOCK_WAIT = 5.0  # for an earlier keeper of this folder that is just leaving
_LAST_WORDS_WAIT = 2.0  # for the supervisor to read the last replies
_FIRST_SWEEP_PAUSE = 0.002
_LONGEST_SWEEP_PAUSE = 0.1  # what does not die waits for a disk
_PR_SET_CHILD_SUBREAPER = 36
_IGNORED = (
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGPIPE,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGTERM,  # we end when there is nothing left to keep, not before
)


def main() -> None:
    folder, fleet_id = Path(sys.argv[1]).absolute(), sys.argv[2]
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # who started us may have left something open
    listener = socket.socket(fileno=os.dup(0))
    _give_null_as_stdin()
    lock = folder / "keeper.lock"
    if not _lock(lock):
        sys.exit(f"{lock}: another keeper holds it; stop that one first")
    os.chdir("/")
    _prepare_process()
    Keeper(fleet_id, listener, folder / "keeper.sock").run()


class Keeper:
    """The wiring of the program, and the decision when it ends."""

    def __init__(self, fleet_id: str, listener: socket.socket, path: Path) -> None:
        self._name = _SocketName(path)
        self._loop = Loop()
        self._fleet = Fleet(fleet_id, self._loop, self._tell)
        self._operations = Operations(fleet_id, self._fleet)
        self._connections = Connections(listener, self._loop, self._operations.handle, self._fleet.orphan)
        self._operations.connections = self._connections
        self._give_up_at = boottime() + _FIRST_CONNECTION_WAIT

    def run(self) -> None:
        """Live until nobody is connected and no worker lives, or until all has been shut down."""
        pause = _FIRST_SWEEP_PAUSE
        while True:
            self._fleet.settle()
            now = boottime()
            wait = self._fleet.next_moment - now
            if self._unwanted(now):
                if self._fleet.rest.sweep():
                    break
                wait, pause = pause, min(pause * 2, _LONGEST_SWEEP_PAUSE)
            elif self._never_wanted:
                wait = min(wait, self._give_up_at - now)
            self._loop.wait(wait)
        self._operations.finish()
        self._flush()
        self._name.remove()
        self._connections.close()
        self._fleet.close()
        self._loop.close()

    @property
    def _never_wanted(self) -> bool:
        return self._connections.generation < 0

    def _unwanted(self, now: float) -> bool:
        if self._fleet.living:
            return False
        if self._operations.shutting_down:
            return True
        return self._connections.controller is None and (not self._never_wanted or now >= self._give_up_at)

    def _tell(self, report: dict[str, object]) -> None:
        self._connections.tell(report)

    def _flush(self) -> None:
        deadline = time.monotonic() + _LAST_WORDS_WAIT
        while (peer := self._connections.controller) is not None and peer.unsent:
            if time.monotonic() >= deadline:
                return
            self._loop.wait(0.1)


class _SocketName:
    """The name of the listening socket. It is removed only if nobody has put another one in its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = self._look()

    def remove(self) -> None:
        if self._identity is not None and self._look() == self._identity:
            self._path.unlink()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _lock(path: Path) -> bool:
    """Hold it until this process ends, and write our pid into it. False: another one holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + _LOCK_WAIT
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            break
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return True


def _give_null_as_stdin() -> None:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)


def _prepare_process() -> None:
    for signo in _IGNORED:
        signal.signal(signo, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda _signo, _frame: None)  # it only has to wake the loop
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
