"""Unix sockets in a folder, however long its path is."""

import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trio

__all__ = ["bind_unix", "connect_unix", "is_listening", "peer_process", "peer_user"]

_BACKLOG = 64
_ROOM = 0.1  # seconds for a place among those who wait to be taken; a listener that lives makes one in microseconds


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at ``path``, mode 0600. A file that lies there already is replaced, so
    hold the lock of the folder. Raise OSError when the folder cannot be written."""
    with _address(path) as address, ExitStack() as undo:
        listener = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        path.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), 0o600)  # before bind: the file is never open to others
        listener.bind(address)
        listener.listen(_BACKLOG)
        undo.pop_all()
        return listener


def connect_unix(path: Path) -> socket.socket:
    """A blocking socket connected to ``path``. Raise OSError when nobody listens there, and BlockingIOError when
    somebody does who takes no more connections: it is stopped, or stuck."""
    with _address(path) as address, ExitStack() as undo:
        connection = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        _limit_waiting(connection, _ROOM)
        connection.connect(address)
        _limit_waiting(connection, 0)
        undo.pop_all()
        return connection


def is_listening(path: Path) -> bool:
    """Whether a process listens there, be it stuck."""
    try:
        connect_unix(path).close()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def peer_user(connection: socket.socket | trio.socket.SocketType) -> int:
    """The user id of the process at the other end, as the kernel knows it."""
    pid_uid_gid = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(pid_uid_gid[4:8], sys.byteorder)


def peer_process(connection: socket.socket | trio.socket.SocketType) -> int:
    """The pid of the process that connected; it may have ended since."""
    pid_uid_gid = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(pid_uid_gid[:4], sys.byteorder)


def _limit_waiting(connection: socket.socket, seconds: float) -> None:
    """For connect and send; 0 is no limit. (With a timeout of Python's own, connect would not wait at all.)"""
    timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Of a socket, below the 108 bytes that the kernel takes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
