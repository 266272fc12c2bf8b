"""``STATE/port.json``: where the ``callboard up`` of a state folder is reached."""

import msgspec

from protocols.ids import RunId

__all__ = ["PortFile"]


class PortFile(msgspec.Struct, frozen=True, kw_only=True):
    """It is there while that lives, and after a crash until the next one; the lock ``up.lock`` tells which."""

    pid: int
    run: RunId
    version: str
    url: str = ""
    """``http://HOST:PORT``; empty where it listens on no address."""
    socket: str
    """The path of its Unix socket."""
