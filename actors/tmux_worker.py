"""One attempt in a pane of the fleet's own tmux server: the keeper's process, tmux's terminal, and a spool of ours."""

import errno
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import msgspec
import trio

from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import Process, read_process
from actors.orders import Answer, Ask, AskSpawn, KeeperAsk
from actors.replies import reply
from actors.spool_writer import SpoolWriter
from actors.tmux_client import run_tmux
from actors.tmux_keys import answer_keys
from actors.tmux_process import Server
from actors.tmux_reader import ATTACH, OPTION, PaneReader, Place, marker
from actors.tmux_server import OwnServer
from protocols.errors import KeeperError, SpawnError, TmuxError
from protocols.keeper import Ended, Report, Resize, Stop
from protocols.keeper_codec import from_os, to_os
from protocols.keeper_inputs import Write
from protocols.tmux_panes import Until

__all__ = ["TmuxWorker", "open_spool", "spawn_error", "tell"]

# tmux closes a terminal when the process that it started there ends, whoever else still writes to it, and whatever it
# has not read yet. So that is a process that only holds the place, and gives up the terminal for the worker to take.
_HOLD = (
    "import fcntl, os, signal, sys, termios; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    "fcntl.ioctl(0, termios.TIOCNOTTY); os.write(1, os.fsencode(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
)
_WHERE = "#{session_id} #{pane_id} #{pane_pid} #{pane_tty} #{pid} #{socket_path}"
_START = 10.0  # for an interpreter in the pane, on a busy machine; usually 30 ms
_INBOX = 64


@dataclass(frozen=True, slots=True)
class _Seat:
    """What the pane consists of."""

    place: Place
    holder: Process
    """What holds it."""
    variables: tuple[str, str]
    """What a program finds in a pane of tmux."""

    @classmethod
    def parse(cls, line: str) -> "_Seat":
        """A line in the form ``_WHERE``. The path of a socket may hold anything. Raise TmuxError."""
        session, pane, pid, tty, server, socket = line.split(" ", 5)
        holder = read_process(int(pid))
        if holder is None:
            raise TmuxError("what was to hold its pane has ended at once")
        variables = (f"TMUX={socket},{server},{session[1:]}", f"TMUX_PANE={pane}")
        return cls(Place(socket, session, pane, tty), holder, variables)


@dataclass(slots=True, kw_only=True)
class TmuxWorker:
    """Serve one `AskSpawn`. What is asked of it later comes to `take`."""

    ask: AskSpawn
    own: OwnServer
    keeper: trio.MemorySendChannel[KeeperAsk]
    limiter: trio.CapacityLimiter
    answered: Answer | None = None
    _stop: Stop | None = None
    _reader: PaneReader | None = None
    _sits: tuple[Server, _Seat] | None = None

    async def run(self, servers: trio.Nursery) -> None:
        """Answer, and report until the end. A server that has to be started is watched in the nursery ``servers``."""
        try:
            async with open_spool(self.ask, self.limiter) as spool:
                try:
                    async with trio.open_nursery() as nursery:
                        await self._live(spool, nursery, servers)
                        nursery.cancel_scope.cancel(reason="the attempt has ended")
                finally:
                    with trio.move_on_after(_START, shield=True):
                        await self._leave()
        except* (TmuxError, KeeperError) as group:
            if self.answered is not None:
                raise
            self.answered = reply(self.ask.answer, Answer(error=spawn_error(group)))

    async def take(self, ask: Ask) -> None:
        """A request for this attempt that came after its spawn."""
        match ask.request:
            case Stop() if self.answered is None:
                self._stop = ask.request  # the keeper may not know it yet
            case Resize():
                await self._resize(ask.request)
                reply(ask.answer, Answer())
            case Write():
                await answer_keys(ask, ask.request, self._reader)
            case _:
                await self.keeper.send(ask)

    async def _live(self, spool: SpoolWriter, nursery: trio.Nursery, servers: trio.Nursery) -> None:
        request = self.ask.request
        server = await (self.own.find() if request.resume else self.own.ensure(servers))
        reader = PaneReader(server=server, spool=spool, tell=partial(tell, self.ask))
        if not request.resume:
            reader.begin = Until(marker(request.attempt, "begin"))
        seat = await (self._find_seat if request.resume else self._open_seat)(server, reader, nursery)
        slave = _open_terminal(seat.place.tty)
        try:
            if not request.resume:
                await self._begin(reader)
            reports, inbox = trio.open_memory_channel[Report](_INBOX)
            self._reader = reader
            self.answered = reply(self.ask.answer, await self._spawn(seat, reports))
            if self.answered.error is None:
                await reader.tell_place("control", "taken up again" if request.resume else "")
                await self._relay(reader, inbox, slave, nursery)
        finally:
            os.close(slave)

    async def _open_seat(self, server: Server, reader: PaneReader, nursery: trio.Nursery) -> _Seat:
        request = self.ask.request
        columns, rows = request.window or (120, 40)
        sleep = shutil.which("sleep") or "/bin/sleep"
        begin = marker(request.attempt, "begin").decode()
        first = (
            *("new-session", "-s", _name(self.ask), "-x", str(columns), "-y", str(rows), "-f", "ignore-size"),
            *("-P", "-F", _WHERE, "--", sys.executable, "-I", "-S", "-c", _HOLD, begin, sleep, "infinity"),
        )
        (line,) = await nursery.start(reader.run, first, lambda lines: _Seat.parse(lines[0]).place)
        seat = _Seat.parse(line)
        self._sits = server, seat
        await run_tmux(server, "set-option", "-p", "-t", seat.place.pane, OPTION, request.attempt)
        return seat

    async def _find_seat(self, server: Server, reader: PaneReader, nursery: trio.Nursery) -> _Seat:
        """That of an attempt whose callboard is gone. What was printed since then, nobody has read."""
        attempt = self.ask.request.attempt
        lines = await run_tmux(server, "list-panes", "-a", "-F", f"#{{{OPTION}}} {_WHERE}")
        found = [line.partition(" ")[2] for line in lines if line.startswith(f"{attempt} ")]
        if not found:
            raise SpawnError(f"{server}: has no pane of attempt {attempt}", "unknown-attempt")
        seat = _Seat.parse(found[0])
        self._sits = server, seat
        await nursery.start(reader.run, (*ATTACH, seat.place.session), lambda _: seat.place)
        await reader.miss("nobody read its pane while callboard was gone")
        return seat

    async def _begin(self, reader: PaneReader) -> None:
        """Wait until the terminal is free for the worker."""
        with trio.move_on_after(_START):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when, reader.gone, nursery.cancel_scope)
                await reader.begun.wait()
                nursery.cancel_scope.cancel(reason="it has begun")
        if not reader.begun.is_set():
            raise TmuxError(f"its pane was closed before it could begin; {reader.lost or 'see the tmux server'}")

    async def _spawn(self, seat: _Seat, reports: trio.MemorySendChannel[Report]) -> Answer:
        request = self.ask.request
        names = {variable.partition("=")[0] for variable in request.env}
        more = [to_os(os.fsencode(each)) for each in seat.variables if each.partition("=")[0] not in names]
        request = msgspec.structs.replace(
            request, terminal="", window=None, tty=to_os(os.fsencode(seat.place.tty)), env=(*request.env, *more)
        )
        send, answer = trio.open_memory_channel[Answer](1)
        with send, answer:
            await self.keeper.send(AskSpawn(request, send, reports, self.ask.order))
            return await answer.receive()

    async def _relay(
        self, reader: PaneReader, inbox: trio.MemoryReceiveChannel[Report], slave: int, nursery: trio.Nursery
    ) -> None:
        """Pass on what the keeper says; its last word waits until the last bytes are in the spool."""
        nursery.start_soon(self._miss_pane, reader)
        if self._stop is not None:
            await self.keeper.send(Ask(self._stop))
        async for report in inbox:
            if isinstance(report, Ended):
                await reader.finish(slave)
                detail = report.detail or reader.lost
                await self.ask.reports.send(
                    msgspec.structs.replace(report, terminal_bytes=reader.spool.size, detail=detail)
                )
                return
            await self.ask.reports.send(report)

    async def _miss_pane(self, reader: PaneReader) -> None:
        """A worker whose terminal is gone can say nothing any more: it is ended."""
        await reader.gone.wait()
        if reader.lost:
            request = self.ask.request
            await reader.miss(reader.lost)
            await self.keeper.send(Ask(Stop(attempt=request.attempt, grace=request.grace, reason="lost")))

    async def _leave(self) -> None:
        """Close the pane, and end what held it: nobody else does when the terminal is another one's."""
        if self._sits is not None:
            server, seat = self._sits
            with suppress(TmuxError):  # it is gone already, or its server is
                await run_tmux(server, "kill-session", "-t", seat.place.session)
            send_signal(seat.holder, signal.SIGKILL)

    async def _resize(self, request: Resize) -> None:
        reader = self._reader
        if reader is None or reader.place is None or reader.client is None:
            return
        columns, rows = request.window
        try:
            await reader.client.command(
                "resize-window", "-t", reader.place.session, "-x", str(columns), "-y", str(rows)
            )
        except TmuxError:
            return  # it has ended


async def tell(ask: AskSpawn, report: Report) -> None:
    """What comes after the last word of an attempt, nobody wants to hear."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await ask.reports.send(report)


@asynccontextmanager
async def open_spool(ask: AskSpawn, limiter: trio.CapacityLimiter) -> AsyncIterator[SpoolWriter]:
    """The file for the terminal of an attempt. Raise SpawnError."""
    request = ask.request
    path = os.fsdecode(from_os(request.terminal))
    try:
        fd = await trio.to_thread.run_sync(_open, path, limiter=limiter)
    except OSError as error:
        raise SpawnError(f"{path}: {error.strerror}", _code(error)) from error
    try:
        yield SpoolWriter(attempt=request.attempt, stream="terminal", fd=fd, reports=ask.reports, limiter=limiter)
    finally:
        os.close(fd)


def _open_terminal(path: str) -> int:
    """Raise TmuxError."""
    try:
        return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TmuxError(f"its terminal {path}: {error.strerror}") from error


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _code(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "EIO")


def spawn_error(group: BaseExceptionGroup[TmuxError | KeeperError]) -> KeeperError:
    """The first of them, as the error of a spawn."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, KeeperError) else SpawnError(str(error))


def _name(ask: AskSpawn) -> str:
    """Of its session: for people, and no other one's."""
    order = ask.order
    return re.sub(r"[^\w-]", "_", f"{order.task.id}-{order.attempt}-{order.id[:8]}", flags=re.ASCII)


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel(reason="its pane is gone")
