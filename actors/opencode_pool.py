"""The servers of one agent: who gets a session on which, and how many there are."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import trio

from actors.opencode_process import Host
from actors.opencode_server import ManagedServer
from actors.server_messages import ServerGone, ServerReady, ServerState
from actors.session_messages import Endpoint
from protocols.errors import ServerError
from protocols.wording import quote

__all__ = ["Companion", "Lease", "ServerPool"]

_PAUSE = 0.5  # between two looks for a server that somebody else runs
_REPORTS = 16

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Companion(Protocol[T_co]):
    """What goes with each server, from its first readiness to its end: reader, router, reconciler.

    It is cancelled at the end, and must not end before. What it tells as started is in every `Lease`. ``boot``: the
    number of the process, None where somebody else runs it; ``folder``: of the server, for logs.
    """

    async def __call__(
        self,
        server: str,
        endpoint: Endpoint,
        boot: Callable[[], int] | None,
        folder: Path,
        *,
        task_status: trio.TaskStatus[T_co],
    ) -> None: ...


@dataclass(slots=True)
class _Place(Generic[T]):
    """One server, as the pool knows it."""

    name: str
    server: ManagedServer | None = None
    """None: somebody else runs it."""
    states: trio.MemoryReceiveChannel[ServerState] | None = None
    """What it says of itself."""
    leases: int = 0
    empty_since: float = 0.0
    """On trio's clock, where it has no leases."""
    leaving: bool = False
    """Nobody gets a place here any more: it is being stopped."""
    ready: ServerReady | None = None
    companion: list[T] = field(default_factory=list)
    """None yet, or one."""
    changed: trio.Event = field(default_factory=trio.Event)
    given_up: trio.Event = field(default_factory=trio.Event)
    why: str = ""

    def take(self, state: ServerState) -> None:
        """Those who wait look again."""
        self.ready = state if isinstance(state, ServerReady) else None
        if isinstance(state, ServerGone) and state.again_in is None:
            self.why = state.why
            self.given_up.set()
        self.changed.set()
        self.changed = trio.Event()


@dataclass(frozen=True, slots=True)
class Lease(Generic[T]):
    """A place for one session on a server, which may come and go meanwhile under the same address."""

    server: str
    endpoint: Endpoint
    companion: T
    given_up: trio.Event
    """Set when the server is gone for good."""
    _place: _Place[T]

    @property
    def why(self) -> str:
        """Why it is gone."""
        return self._place.why


async def _tell_nobody(_: ServerState) -> None:
    pass


@dataclass(slots=True, kw_only=True)
class ServerPool(Generic[T]):
    """Servers are started when somebody wants a place, and end with the pool."""

    host: Host
    folder: Path
    """Each managed server gets a folder in it."""
    companion: Companion[T]
    stem: str = ""
    """What its servers are called, before their numbers; empty: as the agent."""
    tell: Callable[[ServerState], Awaitable[None]] = _tell_nobody
    """Gets all that is said of all servers, in order for each."""
    stuck_after: float = 120.0
    idle_after: float = 60.0
    """Seconds that a server without sessions stays, where there is another one."""
    _places: list[_Place[T]] = field(default_factory=list)
    _count: int = 0
    _nursery: trio.Nursery | None = None
    _closing: trio.Event = field(default_factory=trio.Event)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until `stop`. Nothing of its servers is left then."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await self._closing.wait()
            finally:
                self._nursery = None
            for place in self._places:
                if place.server is not None:
                    place.server.stop()

    def stop(self) -> None:
        """`run` returns once all servers are gone."""
        self._closing.set()

    @asynccontextmanager
    async def lease(self, directory: str, server: str = "") -> AsyncIterator[Lease[T]]:
        """A place on a server that is ready, for a session in this directory. Raise ServerError if there is none.

        ``server``: the name of the one on which it lives already, since an earlier supervisor; whatever the cap says.
        """
        place = self._choose(server)
        place.leases += 1
        try:
            if place.server is not None:
                place.server.directories.add(directory)
            ready = await _wait(place)
            yield Lease(place.name, ready.endpoint, place.companion[0], place.given_up, place)
        finally:
            place.leases -= 1
            place.empty_since = trio.current_time()
            if not place.leases and place.server is not None and self._nursery is not None:
                self._nursery.start_soon(self._rest, place, place.server)

    async def _rest(self, place: _Place[T], server: ManagedServer) -> None:
        """Each takes half a gigabyte and more: one that nobody uses is enough."""
        with trio.move_on_after(self.idle_after):
            await self._closing.wait()
        others = [each for each in self._usable() if each is not place]
        idle = not place.leases and trio.current_time() >= place.empty_since + self.idle_after
        if idle and others and not self._closing.is_set():
            place.leaving = True
            server.stop()

    def _usable(self) -> list[_Place[T]]:
        return [place for place in self._places if not place.leaving and not place.given_up.is_set()]

    def _choose(self, server: str) -> _Place[T]:
        """The one that is meant, or one with room, else another one."""
        agent = self.host.agent
        if self._closing.is_set() or self._nursery is None:
            raise ServerError(f"agent {quote(agent.name)}: its servers are being stopped", "unreachable")
        most = 0 if agent.attach else agent.sessions_per_server
        self._places = [place for place in self._places if not place.given_up.is_set()]
        for place in self._usable():
            if place.name == server or (not server and (not most or place.leases < most)):
                return place
        place = _Place[T](agent.name) if agent.attach else self._new_place(server)
        self._places.append(place)
        self._nursery.start_soon(self._attend if agent.attach else self._manage, place)
        return place

    def _new_place(self, name: str) -> _Place[T]:
        while not name:
            self._count += 1
            name = f"{self.stem or self.host.agent.name}-{self._count}"
            if any(place.name == name for place in self._places):
                name = ""
        outbox, states = trio.open_memory_channel[ServerState](_REPORTS)
        folder = self.folder / name
        server = ManagedServer(name=name, host=self.host, folder=folder, outbox=outbox, stuck_after=self.stuck_after)
        return _Place(name, server, states)

    async def _manage(self, place: _Place[T]) -> None:
        """A server of ours, from its start to its end."""
        server, states = place.server, place.states
        if server is None or states is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            with server.outbox, states:
                async for state in states:
                    if isinstance(state, ServerReady):
                        await self._accompany(place, state, nursery, lambda: server.boot)
                    await self._told(place, state)
                    if place.given_up.is_set():
                        break
            nursery.cancel_scope.cancel(reason="its server is gone")

    async def _attend(self, place: _Place[T]) -> None:
        """A server of somebody else, until the pool ends."""
        agent = self.host.agent
        password = self.host.environ.get(agent.password_env, "") if agent.password_env else ""
        endpoint = Endpoint(agent.attach.rstrip("/"), password)
        async with trio.open_nursery() as nursery:
            try:
                version = await self._find(endpoint)
            except ServerError as error:
                given_up = not self._closing.is_set()
                await self._told(place, ServerGone(place.name, 1, str(error), None, given_up))
                return
            ready = ServerReady(place.name, 1, endpoint, version, 0)
            await self._accompany(place, ready, nursery, None)
            await self._told(place, ready)
            await self._closing.wait()
            await self._told(place, ServerGone(place.name, 1, "nobody needs it any more", None))
            nursery.cancel_scope.cancel(reason="nobody needs it any more")

    async def _find(self, endpoint: Endpoint) -> str:
        """The version of a server that answers. Raise ServerError."""
        agent = self.host.agent
        client = self.host.open_client(endpoint)
        until = trio.current_time() + agent.ready_within
        while True:
            try:
                return await client.health()
            except ServerError as error:
                what = f"agent {quote(agent.name)}: {error}"
                if error.kind == "refused-password":
                    name = f"agents.{agent.name}.password_env"
                    advice = (
                        f"{name} is {quote(agent.password_env)}: is that its password?"
                        if agent.password_env
                        else (f"set {name} to the variable that holds its password")
                    )
                    raise ServerError(f"{what}; {advice}", error.kind, error.status) from error
                if trio.current_time() >= until or self._closing.is_set():
                    raise ServerError(what, error.kind, error.status) from error
            with trio.move_on_after(_PAUSE):
                await self._closing.wait()

    async def _accompany(
        self, place: _Place[T], ready: ServerReady, nursery: trio.Nursery, boot: Callable[[], int] | None
    ) -> None:
        """Begin with what goes with the server, where that has not begun."""
        if not place.companion:
            start = partial(self.companion, place.name, ready.endpoint, boot, self.folder / place.name)
            place.companion.append(await nursery.start(start))

    async def _told(self, place: _Place[T], state: ServerState) -> None:
        await self.tell(state)
        place.take(state)


async def _wait(place: _Place[T]) -> ServerReady:
    """Raise ServerError when it is given up."""
    while place.ready is None:
        if place.given_up.is_set():
            raise ServerError(place.why, "unreachable")
        await place.changed.wait()
    return place.ready
