"""Who is at the other end of a connection, as the kernel tells."""

import os
from dataclasses import dataclass
from socket import AF_UNIX

import trio

from actors.keeper_process.marks import attempt_of, in_exec, mark_of
from actors.keeper_process.procfs import read_process
from actors.unix_socket import peer_process, peer_user
from protocols.ids import AttemptId, FleetId

__all__ = ["Caller", "find_caller", "find_worker"]

_DEEPEST = 64  # processes below each other; a chain that is longer is looked at up to there


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    address: str
    """``127.0.0.1:40312``, or ``unix``."""
    group: str
    """Who shares a cap of connections: an address without port, or a user."""
    user: int | None = None
    """Of the Unix socket; None on TCP, where the kernel does not tell."""
    pid: int = 0
    """Of the process that connected; 0: unknown."""
    worker: AttemptId | None = None
    """Of this fleet, in whose tree the process is. Empty: it is one of ours without a mark, or gone already."""

    @property
    def welcome(self) -> bool:
        """Anybody on TCP, where a token decides; of others only our user and root."""
        return self.user is None or self.user in {0, os.geteuid()}

    @property
    def trusted(self) -> bool:
        """Whether it needs no token: a process of our user or of root, outside of our workers, that we can see."""
        return self.user is not None and self.welcome and self.pid > 0 and self.worker is None


def find_caller(connection: trio.socket.SocketType, fleet: FleetId) -> Caller:
    """Raise OSError where the connection is gone."""
    if connection.family != AF_UNIX:
        host, port, *_ = connection.getpeername()
        return Caller(address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}", group=host)
    user, pid = peer_user(connection), peer_process(connection)
    return Caller(address="unix", group=f"user {user}", user=user, pid=pid, worker=find_worker(pid, fleet))


def find_worker(pid: int, fleet: FleetId) -> AttemptId | None:
    """The attempt in whose tree the process lives: by its own mark, or that of one that it descends from.

    Empty where that cannot be told but might be: the process is gone, or it descends from us without a mark.
    """
    if pid in {0, os.getpid()}:  # 0: of a namespace of processes that we do not see
        return None
    process = read_process(pid)
    if process is None or in_exec(pid):
        return AttemptId("")
    for _ in range(_DEEPEST):
        if process is None:  # an ancestor that is hidden from us is none of our workers
            return None
        if (attempt := attempt_of(mark_of(process.pid) or "", fleet)) is not None:
            return AttemptId(attempt)
        if process.ppid == os.getpid():
            return AttemptId("")
        process = read_process(process.ppid)
    return None
