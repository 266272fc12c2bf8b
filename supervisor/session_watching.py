"""Shows the sessions of any OpenCode server as they go on: read, put into words, and written without any buffer."""

import errno
import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import trio

from actors.display import write_all
from actors.opencode_client import OpenCodeClient
from actors.orders import StopRun
from actors.reconciler import Reconciler
from actors.session_messages import Arrived, Connected, Disconnected, Endpoint, Look, RouterInput
from actors.stream_reader import StreamReader
from protocols.errors import InputError, ServerError, UnreachableError
from protocols.opencode import Snapshot
from protocols.session_watch import SessionWatch
from supervisor.run_log import warn
from supervisor.signals import obey_signals

__all__ = ["read_endpoint", "watch_server"]

_LEFT = 130
_STDOUT = 1
_READ = 256  # messages of the reader
_LOOKS = 64
_PROBES = 4
_PROBE_WITHIN = 2.0  # seconds; a server that starts takes connections and does not answer for a while
_MOST = 8 * 1024 * 1024  # characters that may wait for whoever reads our output


def read_endpoint(url: str, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """The server at this address, with the password that its own variables hold. Raise `InputError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f'"{url}" is no address of a server; write it like http://127.0.0.1:4096')
    if parts.username or parts.password:
        raise InputError("URL: everybody can see a password there; put it into OPENCODE_SERVER_PASSWORD")
    user = environ.get("OPENCODE_SERVER_USERNAME") or "opencode"
    return Endpoint(url.rstrip("/"), environ.get("OPENCODE_SERVER_PASSWORD", ""), user)


def watch_server(endpoint: Endpoint, watch: SessionWatch) -> int:
    """Show what happens there until somebody leaves (130), or the only session that is watched is deleted (0).

    Raise `InputError`, `UnreachableError` where there is no such server, and BrokenPipeError when nobody reads any
    more. A server that goes away is waited for.
    """
    end = trio.run(_Watching(OpenCodeClient(endpoint), watch).run)
    if end == errno.EPIPE:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    return end


@dataclass(slots=True)
class _Pending:
    """Text that is to be written. Who adds to it never waits: what nobody reads is counted, and left out."""

    _texts: deque[str] = field(default_factory=deque)
    _size: int = 0
    _left_out: int = 0
    _more: trio.Event = field(default_factory=trio.Event)
    _closed: bool = False

    def add(self, text: str) -> None:
        if not text:
            return
        if self._left_out or self._size + len(text) > _MOST:
            self._left_out += len(text)
        else:
            self._texts.append(text)
            self._size += len(text)
        self._more.set()

    def close(self) -> None:
        """There will be no more."""
        self._closed = True
        self._more.set()

    async def take(self) -> str:
        """All that there is; waits for the first. Empty at the end."""
        await self._more.wait()
        self._more = self._more if self._closed else trio.Event()
        text, left_out = "".join(self._texts), self._left_out
        self._texts.clear()
        self._size = self._left_out = 0
        return f"{text}\n[GAP] {left_out} characters were not read in time\n" if left_out else text


@dataclass(slots=True)
class _Watching:
    client: OpenCodeClient
    watch: SessionWatch
    _pending: _Pending = field(default_factory=_Pending)
    _end: int = _LEFT
    _boot: int = 0

    async def run(self) -> int:
        await self._check()
        with trio.CancelScope() as everything:

            def leave(reason: str) -> None:
                everything.cancel(reason=reason)

            async def stop(order: StopRun) -> None:
                leave(order.reason)

            async with trio.open_nursery() as nursery:
                await nursery.start(obey_signals, stop, leave)
                await self._show(nursery)
                nursery.cancel_scope.cancel(reason="there is no more to show")
        return self._end

    async def _check(self) -> None:
        """There is such a server, and such a session."""
        for number in range(_PROBES):
            try:
                await self.client.health(_PROBE_WITHIN)
                if self.watch.only:
                    await self.client.session(self.watch.only)
                return
            except ServerError as error:
                if error.kind == "late" and number < _PROBES - 1:
                    continue
                if error.kind == "refused-password":
                    raise InputError(f"{error}, in OPENCODE_SERVER_PASSWORD") from error
                if error.kind in ("unreachable", "late"):
                    raise UnreachableError(str(error)) from error
                raise InputError(str(error)) from error

    async def _show(self, nursery: trio.Nursery) -> None:
        outbox, inbox = trio.open_memory_channel[RouterInput](_READ)
        looks, to_look = trio.open_memory_channel[Look](_LOOKS)
        directories, to_read = trio.open_memory_channel[str](1)
        reader = StreamReader(open_stream=self.client.stream, outbox=outbox, directories=to_read)
        directories.send_nowait(os.getcwd())  # noqa: PTH109 - where the server has no stream of all of them
        await nursery.start(reader.run)
        await nursery.start(Reconciler(inbox=to_look, outbox=outbox, client=self.client).run)
        async with outbox, looks, directories, trio.open_nursery() as showing:
            showing.start_soon(self._write, showing.cancel_scope)
            await self._follow(inbox, looks)

    async def _follow(self, inbox: trio.MemoryReceiveChannel[RouterInput], looks: trio.MemorySendChannel[Look]) -> None:
        while not self.watch.over:
            due, message = self.watch.due_at, None
            with trio.move_on_after(float("inf") if due is None else max(due - time.time(), 0.0)):
                message = await inbox.receive()
            self._pending.add(self.watch.tick(time.time()) if message is None else self._take(message, looks))
        self._end = 0
        self._pending.close()

    def _take(self, message: RouterInput, looks: trio.MemorySendChannel[Look]) -> str:
        now = time.time()
        match message:
            case Arrived(events):
                return "".join(self.watch.apply(event, now) for event in events)
            case Snapshot():
                return self.watch.reconcile(message, now)
            case Disconnected(why):
                if self.watch.form == "raw":
                    warn(f"{self.client}: {why}; trying again")
                return self.watch.miss(now) + self.watch.say(f"lost: {why}; trying again", now)
            case Connected(boot):
                return self._connected(boot, now, looks)
            case _:
                return ""

    def _connected(self, boot: int, now: float, looks: trio.MemorySendChannel[Look]) -> str:
        before, self._boot = self._boot, boot
        if not before:
            return ""
        said = self.watch.miss(now, restarted=boot != before) + self.watch.say("there again", now)
        for directory, sessions in self.watch.places():
            try:
                looks.send_nowait(Look(directory, sessions))
            except trio.WouldBlock:
                warn("so many directories that what was missed in some of them is not shown")
                break
        return said

    async def _write(self, scope: trio.CancelScope) -> None:
        limiter = trio.CapacityLimiter(1)
        encoding = sys.stdout.encoding or "utf-8"
        while text := await self._pending.take():
            write = partial(write_all, _STDOUT, text.encode(encoding, "backslashreplace"))
            if not await trio.to_thread.run_sync(write, limiter=limiter, abandon_on_cancel=True):
                self._end = errno.EPIPE
                scope.cancel(reason="nobody reads any more")
