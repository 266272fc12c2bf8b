"""Who is at the other end of a connection, as the kernel tells."""

import os
from dataclasses import dataclass
from socket import AF_UNIX

import trio

from actors.own_workers import find_worker
from actors.unix_socket import peer_process, peer_user
from protocols.ids import AttemptId, FleetId

__all__ = ["Caller", "find_caller"]


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
