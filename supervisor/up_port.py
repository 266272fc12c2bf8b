"""The port of ``callboard up``: where it listens, told in a file while it does."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio
from trio_websocket import WebSocketConnection

from actors.command_desk import CommandDesk
from actors.dispatcher import Dispatcher
from actors.display import write_all
from actors.feed import Feed
from actors.files import replace_file
from actors.fleet_reader import FleetReader
from actors.http_app import HttpSide, make_app
from actors.port.access import Access
from actors.port.listeners import listen
from actors.port.port import Port
from actors.readiness import notify
from actors.rpc_session import RpcSession
from protocols.layout import StateFolder
from protocols.peer import Peer
from protocols.port_file import PortFile
from protocols.senders import Senders
from supervisor.children import Child
from supervisor.port_sockets import PortSockets
from supervisor.secrets import open_redactor
from supervisor.serving import Parts
from supervisor.settings import PortSettings
from supervisor.version import VERSION

__all__ = ["UpPort"]

logger = logging.getLogger(__name__)

_STDERR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UpPort:
    state: StateFolder
    settings: PortSettings
    sockets: PortSockets
    token: str
    """Of the admin."""
    ready: Callable[[], None]
    """Called once it listens."""

    def child(self, parts: Parts) -> Child:
        """See `Serve`."""

        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            await self._run(parts, task_status)

        return Child("port", run, when_exhausted="park")

    async def _run(self, parts: Parts, task_status: trio.TaskStatus[None]) -> None:
        folder, channels = parts.fleet.folder, parts.channels
        feed = Feed(journal=folder.journal, subscribe=channels.requests)
        desk = CommandDesk(commander=parts.commander, journal=folder.journal, outbox=channels.events)
        reader = FleetReader(folder=folder, picture=parts.picture, redactor_of=open_redactor)
        dispatcher = Dispatcher(reader=reader, desk=desk)

        async def rpc(socket: WebSocketConnection, peer: Peer) -> None:
            await RpcSession(socket=socket, peer=peer, dispatcher=dispatcher, feed=feed).run()

        senders = Senders(
            hosts=frozenset([self.settings.host, *self.settings.hosts]), origins=frozenset(self.settings.origins)
        )
        port = Port(
            listeners=listen(each.dup() for each in self.sockets.bound),
            app=make_app(HttpSide(dispatcher=dispatcher, feed=feed, version=VERSION)),
            rpc=rpc,
            access=Access(secret=self.token, senders=senders),
            fleet=parts.fleet.identity.fleet,
            tls=self.sockets.tls,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(feed.run)
            await nursery.start(desk.run)
            await nursery.start(port.run)
            self._tell_where(parts)
            try:
                task_status.started()
                await parts.picture.wait_until(lambda view: view.stopping)
                notify("STOPPING=1")
                await trio.sleep_forever()
            finally:
                if parts.leaving is None or not parts.leaving.restarting:
                    self.state.port_file.unlink(missing_ok=True)

    def _tell_where(self, parts: Parts) -> None:
        identity, sockets = parts.fleet.identity, self.sockets
        file = PortFile(pid=identity.pid, run=identity.run, version=VERSION, url=sockets.url, socket=str(sockets.unix))
        replace_file(self.state.port_file, msgspec.json.format(msgspec.json.encode(file)) + b"\n")
        note = f" ({sockets.note})" if sockets.note else ""
        _tell(
            f"callboard up: run {identity.run}, pid {identity.pid}; it listens on {sockets.url}{note} and on "
            f"{_short(sockets.unix)}; its token is in {_short(self.state.token)}"
        )
        logger.info("ready: run %s, pid %d, %s", identity.run, identity.pid, sockets.url)
        notify("READY=1", f"STATUS=run {identity.run}, {sockets.url}")
        self.ready()


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _tell(text: str) -> None:
    write_all(_STDERR, f"{text}\n".encode(), wait=False)
