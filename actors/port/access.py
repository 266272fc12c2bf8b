"""Who is let in at the port, and as what."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from actors.port.caller import Caller
from protocols.ids import AttemptId
from protocols.peer import Peer
from protocols.problems import ProblemError
from protocols.senders import Senders
from protocols.tokens import Grant, check_token, cookie_name

__all__ = ["Access", "Headers", "unauthorized"]

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case, as h11 and ASGI have them."""

_OPEN = frozenset({"/health", "/ticket"})
_NAMES = "use 127.0.0.1 or localhost, or add the name to the hosts in the settings of the port"
_PAGES = "add it to the origins in the settings of the port"
_TOKEN = "send Authorization: Bearer TOKEN; the admin's is in the file token of the state folder"  # noqa: S105 - a hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    secret: str
    """The token of the admin; ASCII without dots."""
    senders: Senders = field(default_factory=Senders)
    now: Callable[[], float] = time.time

    def check_sender(self, headers: Headers, caller: Caller) -> None:
        """What comes before anything else: under which name, and from which page, the port is asked.

        Raise `ProblemError`: 421, 403.
        """
        hosts = _values(headers, b"host")
        if caller.user is None and not self.senders.knows_host(hosts):
            raise ProblemError(421, "the port does not go by this name", where="header Host", hint=_NAMES)
        if not self.senders.knows_origin(_values(headers, b"origin"), hosts[0] if hosts else b""):
            raise ProblemError(403, "pages of this origin may not use the port", where="header Origin", hint=_PAGES)

    def identify(self, headers: Headers, caller: Caller) -> Peer | None:
        """By a token, the cookie that a ticket was exchanged for, or, on the Unix socket, by what the kernel says.
        None: nothing tells who it is. Raise `ProblemError`: 401."""
        tokens = _values(headers, b"authorization")
        if len(tokens) > 1:
            raise unauthorized("there is more than one")
        if tokens:
            kind, _, token = tokens[0].decode("latin-1").partition(" ")
            return self.admit(token.strip() if kind.lower() == "bearer" else "", caller)
        if caller.worker is not None:
            return _worker(caller, caller.worker)
        if caller.trusted:
            return Peer(scope="admin", who=f"user {caller.user}", address=caller.address, pid=caller.pid)
        cookie = _cookie(headers, cookie_name(self.secret))
        return None if cookie is None else self.admit(cookie, caller)

    def admit(self, token: str, caller: Caller) -> Peer:
        """A worker on the Unix socket stays one, whatever token it found. Raise `ProblemError`: 401."""
        grant = check_token(self.secret, token, self.now())
        if grant is None:
            raise unauthorized("the token is wrong or over")
        return _worker(caller, caller.worker) if caller.worker is not None else _peer(grant, caller)

    @staticmethod
    def is_open(path: str) -> bool:
        """Whether a path is for everybody."""
        return path in _OPEN


def unauthorized(detail: str) -> ProblemError:
    """What comes back for a token that is missing or wrong (RFC 9110, 11.6.1)."""
    headers = {"www-authenticate": "Bearer"}
    return ProblemError(401, detail, where="header Authorization", hint=_TOKEN, headers=headers)


def _peer(grant: Grant, caller: Caller) -> Peer:
    attempt = AttemptId(grant.name) if grant.scope == "worker" else None
    who = f"worker {grant.name}" if attempt else f"token {grant.name}"
    return Peer(
        scope=grant.scope,
        who=who,
        address=caller.address,
        pid=caller.pid,
        attempt=attempt,
        expires=grant.expires,
    )


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
