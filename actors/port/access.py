"""Who is let in at the port, and as what."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from actors.port.caller import Caller
from protocols.ids import AttemptId
from protocols.peer import Peer
from protocols.problem import Problem, problem
from protocols.senders import Senders
from protocols.tokens import Grant, check_token, cookie_name

__all__ = ["Access", "Headers"]

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, as h11 and ASGI have them."""

_OPEN = frozenset({"/health", "/ticket"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    secret: str
    """The token of the admin; ASCII without dots."""
    senders: Senders = field(default_factory=Senders)
    now: Callable[[], float] = time.time

    def check_sender(self, headers: Headers, caller: Caller) -> Problem | None:
        """What comes before anything else: under which name, and from which page, the port is asked."""
        hosts = _values(headers, b"host")
        if caller.user is None and not self.senders.knows_host(hosts):
            return problem(421, "this port does not go by the name in the header Host; add it to port.hosts")
        if not self.senders.knows_origin(_values(headers, b"origin"), hosts[0] if hosts else b""):
            return problem(403, "pages of another origin may not use this port; add theirs to port.origins")
        return None

    def identify(self, headers: Headers, caller: Caller) -> Peer | Problem | None:
        """By a token, the cookie that a ticket was exchanged for, or, on the Unix socket, by what the kernel says.
        None: nothing tells who it is."""
        tokens = _values(headers, b"authorization")
        if len(tokens) > 1:
            return problem(401, "more than one header Authorization")
        if tokens:
            kind, _, token = tokens[0].decode("latin-1").partition(" ")
            return self.admit(token.strip() if kind.lower() == "bearer" else "", caller)
        if caller.worker is not None:
            return _worker(caller, caller.worker)
        if caller.trusted:
            return Peer(scope="admin", who=f"user {caller.user}", address=caller.address, pid=caller.pid)
        cookie = _cookie(headers, cookie_name(self.secret))
        return None if cookie is None else self.admit(cookie, caller)

    def admit(self, token: str, caller: Caller) -> Peer | Problem:
        """A worker on the Unix socket stays one, whatever token it found."""
        grant = check_token(self.secret, token, self.now())
        if grant is None:
            return problem(401, "the token is wrong or over; the admin's is in the file token of the state folder")
        return _worker(caller, caller.worker) if caller.worker is not None else _peer(grant, caller)

    @staticmethod
    def is_open(path: str) -> bool:
        """Whether a path is for everybody."""
        return path in _OPEN


def _peer(grant: Grant, caller: Caller) -> Peer:
    attempt = AttemptId(grant.name) if grant.scope == "worker" else None
    who = f"worker {grant.name}" if attempt else f"token {grant.name}"
    return Peer(scope=grant.scope, who=who, address=caller.address, pid=caller.pid, attempt=attempt)


def _worker(caller: Caller, attempt: AttemptId) -> Peer:
    who = f"worker {attempt}" if attempt else f"a process of this fleet, {caller.pid}"
    return Peer(scope="worker", who=who, address=caller.address, pid=caller.pid, attempt=attempt or None)


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for each, value in headers if each == name]


def _cookie(headers: Headers, name: str) -> str | None:
    """RFC 6265, 5.4: the pairs are divided by ``; ``."""
    for line in _values(headers, b"cookie"):
        for pair in line.decode("latin-1").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                return value
    return None
