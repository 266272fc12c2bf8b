"""How a browser gets in: a ticket for one use, exchanged for a cookie. So no token is ever part of an address."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from urllib.parse import parse_qs

import msgspec

from actors.port.access import Access
from actors.port.service import App, Message
from protocols.peer import Peer
from protocols.problems import MEDIA_TYPE, ProblemError
from protocols.tokens import Grant, cookie_name, make_token

__all__ = ["Ticket", "TicketOffice"]

_VALID = 30.0
_MOST = 256  # the oldest goes first
_SESSION = 12 * 3600


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``POST /api/tickets``."""

    ticket: str
    path: str
    """Of this port: to be opened in a browser, once."""
    seconds: float
    """So long it is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketOffice:
    """An ASGI application in front of another one: ``POST /api/tickets`` and ``GET /ticket?ticket=…`` are its own."""

    app: App
    access: Access
    _open: dict[str, tuple[float, Peer]] = field(default_factory=dict)
    """When each is over, and who asked for it."""

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        match scope["method"], scope["path"]:
            case "POST", "/api/tickets":
                await self._give(scope["state"]["peer"], send)
            case "GET", "/ticket":
                await self._take(scope, send)
            case method, ("/api/tickets" | "/ticket") as path:
                allowed = "POST" if path == "/api/tickets" else "GET"
                await _refuse(send, 405, f"{path} does not take {method}", ("allow", allowed))
            case _:
                await self.app(scope, receive, send)

    async def _give(self, peer: Peer, send: Callable[[Message], Awaitable[None]]) -> None:
        now = self.access.now()
        for old in [each for each, (end, _) in self._open.items() if end <= now]:
            del self._open[old]
        while len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        ticket = secrets.token_urlsafe(32)
        end = min(now + _VALID, peer.expires or inf)
        self._open[ticket] = end, peer
        answer = Ticket(ticket=ticket, path=f"/ticket?ticket={ticket}", seconds=end - now)
        await _respond(send, 201, msgspec.json.encode(answer), ("content-type", "application/json"))

    async def _take(self, scope: Message, send: Callable[[Message], Awaitable[None]]) -> None:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])
        end, peer = self._open.pop(given[0], (0.0, None))
        if peer is None or end <= self.access.now():
            await _refuse(send, 401, "this ticket was used already, is over or was never given; ask for another one")
            return
        await _respond(
            send,
            303,
            b"",
            ("location", "/"),
            ("set-cookie", self._cookie(peer, secure=scope["scheme"] == "https")),
            ("referrer-policy", "no-referrer"),
        )

    def _cookie(self, peer: Peer, *, secure: bool) -> str:
        """It may no more than who asked for the ticket, and no longer."""
        secret, now = self.access.secret, int(self.access.now())
        name = peer.attempt or "browser"
        expires = min(now + _SESSION, peer.expires or now + _SESSION)
        grant = Grant(scope=peer.scope, name=name, expires=expires)
        value = f"{cookie_name(secret)}={make_token(secret, grant)}"
        return f"{value}; Path=/; Max-Age={expires - now}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"


async def _refuse(
    send: Callable[[Message], Awaitable[None]], status: int, detail: str, *headers: tuple[str, str]
) -> None:
    body = msgspec.json.encode(ProblemError(status, detail).problem)
    await _respond(send, status, body, ("content-type", MEDIA_TYPE), *headers)


async def _respond(
    send: Callable[[Message], Awaitable[None]], status: int, body: bytes, *headers: tuple[str, str]
) -> None:
    fields = [*headers, ("content-length", str(len(body))), ("cache-control", "no-store")]
    encoded = [(name.encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
