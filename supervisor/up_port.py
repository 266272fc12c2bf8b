"""The port of ``callboard up``: where it listens, told in a file while it does."""

from collections.abc import Awaitable, Callable
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
from actors.port.access import Access
from actors.port.listeners import listen
from actors.port.port import Port
from actors.port.service import Message
from actors.rpc_session import RpcSession
from protocols.layout import StateFolder
from protocols.peer import Peer
from protocols.port_file import PortFile
from supervisor.children import Child
from supervisor.secrets import open_redactor
from supervisor.serving import Parts
from supervisor.up_listening import Listening
from supervisor.version import VERSION

__all__ = ["UpPort"]

_STDERR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UpPort:
    state: StateFolder
    listening: Listening
    token: str

    def child(self, parts: Parts) -> Child:
        """See `Serve`."""

        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            await self._run(parts, task_status)

        return Child("port", run, when_exhausted="park")

    async def _run(self, parts: Parts, task_status: trio.TaskStatus[None]) -> None:
        journal = parts.fleet.folder.journal
        feed = Feed(journal=journal, subscribe=parts.channels.requests)
        async with parts.channels.events.clone() as outbox, trio.open_nursery() as nursery:
            desk = CommandDesk(commander=parts.commander, journal=journal, outbox=outbox)
            await nursery.start(feed.run)
            await nursery.start(desk.run)
            reader = FleetReader(folder=parts.fleet.folder, picture=parts.picture, redactor_of=open_redactor)
            await nursery.start(self._port(parts, Dispatcher(reader=reader, desk=desk), feed).run)
            self._tell_where(parts)
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                self.state.port_file.unlink(missing_ok=True)

    def _port(self, parts: Parts, dispatcher: Dispatcher, feed: Feed) -> Port:
        async def rpc(socket: WebSocketConnection, peer: Peer) -> None:
            await RpcSession(socket=socket, peer=peer, dispatcher=dispatcher, feed=feed).run()

        return Port(
            listeners=listen([bound.dup() for bound in self.listening.bound]),
            app=_no_page,
            rpc=rpc,
            access=Access(secret=self.token, senders=self.listening.senders),
            fleet=parts.fleet.identity.fleet,
            tls=self.listening.tls,
        )

    def _tell_where(self, parts: Parts) -> None:
        identity, url, path = parts.fleet.identity, self.listening.url, self.state.port_socket
        file = PortFile(pid=identity.pid, run=identity.run, version=VERSION, url=url, socket=str(path))
        replace_file(self.state.port_file, msgspec.json.format(msgspec.json.encode(file)) + b"\n")
        _tell(f"callboard up: run {identity.run}, pid {identity.pid}; it listens on {url} and {_short(path)}")


async def _no_page(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """All that there is by HTTP for now is ``/rpc``."""
    text = b"only /rpc is served here\n"
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _tell(text: str) -> None:
    write_all(_STDERR, f"{text}\n".encode(), wait=False)
