"""Unix sockets in a folder, however long its path is."""

import os
import socket
import sys
from pathlib import Path

import trio

__all__ = ["bind_unix", "connect_unix", "is_listening", "peer_user"]

_BACKLOG = 64


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at ``path``, mode 0600. A file that lies there already is replaced, so
    hold the lock of the folder. Raise OSError when the folder cannot be written."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        path.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), 0o600)  # before bind: the file is never open to others
        listener.bind(_short(folder, path))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(folder)
    return listener


def connect_unix(path: Path) -> socket.socket:
    """A blocking socket connected to ``path``. Raise OSError when nobody listens there."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(_short(folder, path))
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def is_listening(path: Path) -> bool:
    """Whether a process takes connections there."""
    try:
        connect_unix(path).close()
    except OSError:
        return False
    return True


def peer_user(connection: socket.socket | trio.socket.SocketType) -> int:
    """The user id of the process at the other end, as the kernel knows it."""
    pid_uid_gid = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(pid_uid_gid[4:8], sys.byteorder)


def _short(folder: int, path: Path) -> str:
    """An address below the 108 bytes that the kernel takes."""
    return f"/proc/self/fd/{folder}/{path.name}"
