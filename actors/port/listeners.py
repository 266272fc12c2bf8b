"""The sockets on which the port listens."""

import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import trio

from actors.unix_socket import bind_unix

__all__ = ["bind_port", "bind_tcp", "inherit", "listen"]

_BACKLOG = 1024  # a thousand clients that come back at once after a restart are not refused


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. ``host`` is a name, or an address without brackets.

    Raise OSError: EADDRINUSE where somebody listens there, or where there is no such address (socket.gaierror too).
    """
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    with ExitStack() as undo:
        listener = undo.enter_context(socket.socket(family, kind, number))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        undo.pop_all()
        return listener


def bind_port(path: Path) -> socket.socket:
    """As `bind_unix`, for as many as `bind_tcp` lets wait."""
    listener = bind_unix(path)
    listener.listen(_BACKLOG)
    return listener


def inherit(descriptors: Iterable[int]) -> list[socket.socket]:
    """The listening sockets that another process left open for us. Raise OSError where one is none."""
    with ExitStack() as undo:
        found = [undo.enter_context(socket.socket(fileno=fd)) for fd in descriptors]
        for each in found:
            if not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise OSError(f"descriptor {each.fileno()} is no socket that listens")
            os.set_inheritable(each.fileno(), False)
        undo.pop_all()
        return found


def listen(bound: Iterable[socket.socket]) -> list[trio.SocketListener]:
    """As trio takes them. They belong to the result then."""
    listeners = []
    for each in bound:
        each.setblocking(False)
        listeners.append(trio.SocketListener(trio.socket.from_stdlib_socket(each)))
    return listeners
