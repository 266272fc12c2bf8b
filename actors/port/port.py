"""The port: takes connections, guards each of them, and says goodbye to all."""

import logging
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import trio
from trio_websocket import ConnectionClosed

from actors.accepting import accept_patiently
from actors.port.access import Access
from actors.port.caller import Caller, find_caller
from actors.port.http_connection import HttpConnection
from actors.port.http_wire import HttpWire
from actors.port.limits import PortLimits
from actors.port.service import App, PortCounts, RpcHandler, Service
from actors.port.stream import PortStream
from actors.port.tickets import TicketOffice
from protocols.ids import FleetId
from protocols.problems import ProblemError

__all__ = ["Port"]

logger = logging.getLogger(__name__)

_REFUSAL = 0.5


@dataclass(slots=True, eq=False)
class _Crowd:
    """Who is connected."""

    limits: PortLimits
    counts: PortCounts
    members: set[HttpConnection] = field(default_factory=set)
    groups: Counter[str] = field(default_factory=Counter)
    empty: trio.Event = field(default_factory=trio.Event)

    def refusal(self, caller: Caller) -> ProblemError | None:
        if self.counts.open >= self.limits.connections:
            return _too_many(503, f"{self.limits.connections} connections")
        if self.groups[caller.group] >= self.limits.per_peer:
            return _too_many(429, f"{self.limits.per_peer} connections from there")
        return None

    @contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        self.counts.open += 1
        self.groups[caller.group] += 1
        try:
            yield
        finally:
            self.counts.open -= 1
            self.groups[caller.group] -= 1

    @contextmanager
    def member(self, connection: HttpConnection) -> Iterator[None]:
        self.members.add(connection)
        try:
            yield
        finally:
            self.members.discard(connection)
            if not self.members:
                self.empty.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Serve HTTP and WebSocket (``/rpc``). A connection, however broken, ends itself only."""

    listeners: Sequence[trio.SocketListener]
    """TCP and Unix. They stay open at the end: somebody else may inherit them."""
    app: App
    """For all of HTTP. ``scope["state"]["peer"]`` is the `Peer`, None where the path is for everybody."""
    rpc: RpcHandler
    access: Access
    fleet: FleetId
    """Whose workers are recognized on the Unix socket."""
    limits: PortLimits = field(default_factory=PortLimits)
    tls: ssl.SSLContext | None = None
    """For TCP."""
    counts: PortCounts = field(default_factory=PortCounts)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Then event streams get a last event, WebSockets are closed with 1001, and
        `PortLimits.farewell` later the rest is cut."""
        office = TicketOffice(app=self.app, access=self.access)
        service = Service(app=office, rpc=self.rpc, access=self.access, limits=self.limits, counts=self.counts)
        crowd = _Crowd(self.limits, self.counts)
        hall = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            try:
                inside = await nursery.start(_stay, hall)
                async with trio.open_nursery() as accepting:
                    for listener in self.listeners:
                        accepting.start_soon(self._accept, listener, inside, service, crowd)
                    task_status.started()
            finally:
                with trio.move_on_after(self.limits.farewell, shield=True):
                    await _say_goodbye(crowd)
                hall.cancel(reason="the port closes")

    async def _accept(
        self, listener: trio.SocketListener, inside: trio.Nursery, service: Service, crowd: _Crowd
    ) -> None:
        while True:
            stream = await accept_patiently(listener)
            self.counts.accepted += 1
            inside.start_soon(self._guard, stream, service, crowd)

    async def _guard(self, stream: trio.SocketStream, service: Service, crowd: _Crowd) -> None:
        try:
            await self._meet(stream, service, crowd)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed, OSError):
            pass  # the client is gone or does not read; that is its own business
        except* Exception:
            self.counts.failed += 1
            logger.exception("a connection of the port")
        finally:
            await trio.aclose_forcefully(stream)

    async def _meet(self, stream: trio.SocketStream, service: Service, crowd: _Crowd) -> None:
        caller = find_caller(stream.socket, self.fleet)
        if not caller.welcome:
            return
        tls = self.tls if caller.user is None else None
        if (refusal := crowd.refusal(caller)) is not None:
            self.counts.refuse(refusal.problem.status)
            if tls is None:
                await _turn_away(stream, refusal, self.limits)
            return
        with crowd.place(caller):
            under = stream if tls is None else await self._encrypt(stream, tls)
            guarded = PortStream(stream=under, patience=self.limits.send)
            connection = HttpConnection(stream=guarded, caller=caller, service=service, secure=tls is not None)
            with crowd.member(connection):
                await _serve(connection)

    async def _encrypt(self, stream: trio.SocketStream, tls: ssl.SSLContext) -> trio.abc.Stream:
        """Raise BrokenResourceError where the client does not, or not in time."""
        encrypted = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        with trio.move_on_after(self.limits.header) as scope:
            await encrypted.do_handshake()
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("no handshake of TLS in time")
        return encrypted


async def _stay(scope: trio.CancelScope, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """Where connections live: who opened ``scope`` ends them, after the goodbye."""
    with scope:
        async with trio.open_nursery() as nursery:
            task_status.started(nursery)
            await trio.sleep_forever()


async def _serve(connection: HttpConnection) -> None:
    try:
        await connection.run()
    except Exception:
        with suppress(trio.BrokenResourceError):
            await connection.apologize()
        raise


def _too_many(status: int, what: str) -> ProblemError:
    return ProblemError(status, f"there are {what} already", hint="try again", headers={"retry-after": "1"})


async def _turn_away(stream: trio.SocketStream, refusal: ProblemError, limits: PortLimits) -> None:
    """One answer that fits into any socket's buffer: nobody waits for it."""
    wire = HttpWire(stream=PortStream(stream=stream, patience=_REFUSAL), limits=limits)
    await wire.answer(refusal)


async def _say_goodbye(crowd: _Crowd) -> None:
    """Return when nobody is left."""
    crowd.empty = trio.Event()
    async with trio.open_nursery() as nursery:
        for connection in list(crowd.members):
            nursery.start_soon(_part, connection)
    if crowd.members:
        await crowd.empty.wait()


async def _part(connection: HttpConnection) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await connection.say_goodbye()
