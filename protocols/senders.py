"""From which pages and under which names the port may be asked: what stops DNS rebinding and cross-site requests."""

import ipaddress
import re
from collections.abc import Sequence

import msgspec

__all__ = ["Senders", "is_loopback"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
# RFC 3986, 3.2: no user, and a name without percent signs; IPv6 in brackets, without a zone.
_AUTHORITY = re.compile(rb"(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{0,5}))?")
_ORIGIN = re.compile(rb"(?P<scheme>https?)://(?P<authority>[^/?#@]+)")
_DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at ``host``. A name other than ``localhost`` counts as no."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Senders(msgspec.Struct, frozen=True, kw_only=True):
    """The names that this port goes by, and the pages that may talk to it besides its own."""

    hosts: frozenset[str] = frozenset()
    """Besides those of loopback, without a port; IPv6 in brackets."""
    origins: frozenset[str] = frozenset()
    """As browsers write them: ``https://board.example``."""

    def knows_host(self, values: Sequence[bytes]) -> bool:
        """``values``: of all headers ``Host``. The port does not matter: it may be mapped."""
        if len(values) != 1 or (found := _AUTHORITY.fullmatch(values[0])) is None:
            return False
        host = found["host"].decode().lower()
        return host in _LOOPBACK or host in {each.lower() for each in self.hosts}

    def knows_origin(self, values: Sequence[bytes], host: bytes) -> bool:
        """``values``: of all headers ``Origin``; ``host``: of the header ``Host``. Only browsers send the former. The
        scheme may be either: something in front of us may speak TLS."""
        if not values:
            return True
        if len(values) != 1 or (found := _ORIGIN.fullmatch(values[0].lower())) is None:
            return False
        if values[0].decode("latin-1").lower() in {each.lower() for each in self.origins}:
            return True
        default = _DEFAULT_PORTS[found["scheme"]]
        ours, theirs = _split(host.lower(), default), _split(found["authority"], default)
        return ours is not None and ours == theirs


def _split(authority: bytes, default: bytes) -> tuple[bytes, bytes] | None:
    found = _AUTHORITY.fullmatch(authority)
    return None if found is None else (found["host"], found["port"] or default)
