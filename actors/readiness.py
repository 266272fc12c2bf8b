"""What a service manager is told: that we are ready, that we stop (sd_notify(3), without its library)."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["NOTIFY", "notify"]

NOTIFY = "NOTIFY_SOCKET"
"""The variable that names the socket of the service manager: a path, or ``@`` and a name in the abstract namespace."""


def notify(*lines: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send lines such as ``READY=1`` in one datagram. False: nobody wants them, or they could not be sent."""
    path = environ.get(NOTIFY, "")
    if not path.startswith(("/", "@")):
        return False
    address = os.fsencode(path)
    if address.startswith(b"@"):
        address = b"\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)  # one that does not read is not waited for
        sender.sendto("\n".join(lines).encode(), address)
        return True
    return False
