"""The sockets of ``callboard up``: bound before anything starts, so that what is wrong with them is told at once."""

import errno
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from actors.port.listeners import bind_port, bind_tcp
from protocols.errors import InputError
from protocols.layout import StateFolder
from protocols.senders import Senders, is_loopback
from supervisor.run_log import warn
from supervisor.settings import PortSettings
from supervisor.state import state_error

__all__ = ["Listening", "listening"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    bound: Sequence[socket.socket]
    """One on an address and a Unix socket; both listen already."""
    url: str
    tls: ssl.SSLContext | None
    senders: Senders


@contextmanager
def listening(state: StateFolder, settings: PortSettings) -> Iterator[Listening]:
    """Raise InputError or StateError. For whoever holds the lock of the state folder."""
    tls = _open_tls(settings)
    if tls is None and not is_loopback(settings.host):
        raise InputError(
            f"port.host: {settings.host} is reached by others; name port.tls_certificate and port.tls_key, "
            "or listen on 127.0.0.1 and forward that (ssh -L)"
        )
    with ExitStack() as stack:
        address = stack.enter_context(_bind(settings))
        try:
            local = stack.enter_context(bind_port(state.port_socket))
        except OSError as error:
            raise state_error(state.port_socket, error) from error
        stack.callback(state.port_socket.unlink, missing_ok=True)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield Listening(
            bound=(address, local),
            url=f"{'http' if tls is None else 'https'}://{host}:{address.getsockname()[1]}",
            tls=tls,
            senders=Senders(
                hosts=frozenset({host.lower(), *(name.lower() for name in settings.hosts)}),
                origins=frozenset(origin.lower() for origin in settings.origins),
            ),
        )


def _bind(settings: PortSettings) -> socket.socket:
    """Another port where that one is taken, and only this machine is meant."""
    where = f"{settings.host}:{settings.port}"
    try:
        return bind_tcp(settings.host, settings.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not is_loopback(settings.host):
            raise InputError(
                f"port: cannot listen on {where}: {error.strerror or error}; choose another port.host or port.port"
            ) from error
    warn(f"{where} is taken, so another port is listened on; port.json tells which")
    return bind_tcp(settings.host, 0)


def _open_tls(settings: PortSettings) -> ssl.SSLContext | None:
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InputError("port: tls_certificate and tls_key belong together; name both")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"port: {certificate} with {key}: {error.strerror or error}; name PEM files") from error
    return context
