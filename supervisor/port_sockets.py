"""The sockets of ``callboard up``: one of its state folder, and one of an address."""

import errno
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from actors.port.listeners import bind_port, bind_tcp, inherit
from protocols.errors import InputError
from protocols.layout import StateFolder
from protocols.senders import is_loopback
from protocols.wording import quote
from supervisor.settings import PortSettings
from supervisor.state import state_error

__all__ = ["PortSockets", "open_sockets"]


@dataclass(frozen=True, slots=True)
class PortSockets:
    bound: tuple[socket.socket, ...]
    """They listen. Whoever uses them uses them up."""
    unix: Path
    url: str
    """``http://HOST:PORT``, or https."""
    tls: ssl.SSLContext | None
    note: str
    """What a person has to know about them; mostly empty."""


@contextmanager
def open_sockets(state: StateFolder, settings: PortSettings, inherited: Sequence[int] = ()) -> Iterator[PortSockets]:
    """Hold the lock of the state folder. Raise InputError, or StateError, where they cannot be made.

    ``inherited``: those that our predecessor has left to us, whatever the settings say by now."""
    tls = _open_tls(settings)
    with ExitStack() as stack:
        try:
            unix, tcp, note = _take(inherited) if inherited else (bind_port(state.port_socket), None, "")
        except OSError as error:
            raise state_error(state.port_socket, error) from error
        stack.enter_context(unix)
        stack.callback(state.port_socket.unlink, missing_ok=True)
        if tcp is None:
            tcp, note = _bind(settings)
        stack.enter_context(tcp)
        host, number = tcp.getsockname()[:2]
        address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
        yield PortSockets((unix, tcp), state.port_socket, f"http{'s' if tls else ''}://{address}", tls, note)


def _take(inherited: Sequence[int]) -> tuple[socket.socket, socket.socket, str]:
    """Raise OSError."""
    unix, tcp = inherit(inherited)
    return unix, tcp, ""


def _bind(settings: PortSettings) -> tuple[socket.socket, str]:
    """And why it is not the address that was wanted."""
    try:
        return bind_tcp(settings.host, settings.port), ""
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            where = f"port.host {quote(settings.host)}, port.port {settings.port}"
            raise InputError(f"{where}: nobody can listen there: {error.strerror}") from error
    return bind_tcp(settings.host, 0), f"port {settings.port} is taken by another program"


def _open_tls(settings: PortSettings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        if not is_loopback(settings.host):
            raise InputError(
                f"port.host {quote(settings.host)}: others can reach it, and everything would go there in the clear; "
                "give port.certificate, or listen on 127.0.0.1"
            )
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"port.certificate {quote(str(settings.certificate))}: {error}") from error
    return context
