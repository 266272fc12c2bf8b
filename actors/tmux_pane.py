"""Somebody else's pane of tmux while an attempt has it: marked, watched, and at its end let go or ended."""

import os
import select
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal, TypeAlias

import trio

from actors.keeper_process.attempt import signal_name
from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import Process, read_process
from actors.keeper_process.status import Status, StatusFile
from actors.orders import AskSpawn
from actors.tmux_client import run_tmux
from actors.tmux_process import Server
from actors.tmux_reader import ATTACH, OPTION, PaneReader, Place
from actors.tmux_tree import Tree
from protocols.errors import SpawnError, TmuxError
from protocols.keeper import Ended, Exited, Spawned
from protocols.keeper_codec import from_os
from protocols.kinds import EndReason
from protocols.tmux_panes import Death, parse_death

__all__ = ["AdoptedPane", "open_pane", "write_status"]

_WHERE = "#{session_id} #{pane_id} #{pane_pid} #{pane_tty} #{pid} #{socket_path}"
_DEATH = "#{pane_id} #{pane_dead} #{pane_dead_status} #{pane_dead_signal}"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DEATH_WAIT = 5.0  # until tmux knows how its child ended; usually at once
_HANGUP_WAIT = 0.5  # for a program whose terminal was closed: most end by that
_LEFT_OVER = 0.5  # between TERM and KILL, for what outlives its leader
_PAUSE = 0.02
_CLEANING = 5.0
_RELEASED = "let go: what runs in its session goes on"
_CLOSED = "tmux closes a terminal as soon as its program has ended, whatever it has not read"
_How: TypeAlias = Literal["exit", "stop", "timeout", "lost"]


@dataclass(slots=True, kw_only=True)
class AdoptedPane:
    """One pane, from its adoption to its end or release."""

    ask: AskSpawn
    server: Server
    place: Place
    leader: Process
    host: Process | None
    """The tmux server, where we can see it."""
    spawned: Spawned
    reader: PaneReader
    pidfd: int

    async def wait(self, stopped: trio.Event) -> _How:
        """What comes first: the end of its leader, a stop, its timeout, or the end of the pane alone."""
        timeout = self.ask.request.timeout
        with trio.move_on_after(inf if timeout is None else timeout):
            async with trio.open_nursery() as nursery:
                for wait in (self._leader_gone, stopped.wait, self.reader.gone.wait):
                    nursery.start_soon(_cancel_after, wait, nursery.cancel_scope)
        if self._is_dead():
            return "exit"
        if stopped.is_set():
            return "stop"
        return "lost" if self.reader.gone.is_set() else "timeout"

    async def conclude(self, how: _How, reason: EndReason, *, own: bool, kill_at: Callable[[], float]) -> Ended:
        """End it if that is to be, and tell how it ended. All that it printed is in the spool then."""
        swept: tuple[str, ...] = ()
        if own and how != "exit":
            swept = await Tree(self.leader).end(kill_at)
        elif how == "lost":
            with trio.move_on_after(_HANGUP_WAIT):
                await self._leader_gone()
        if not self._is_dead():
            await self._drain()
            return self._ended(Death(), reason, swept, self.reader.lost or _RELEASED, released=how != "lost")
        death, why = await self._death()
        await self.reader.miss(_CLOSED, 0)
        attempt = self.ask.request.attempt
        await self.ask.reports.send(Exited(attempt=attempt, code=death.code, signal=death.signal, at=time.time()))
        if own and how == "exit":
            merciless_at = trio.current_time() + _LEFT_OVER
            swept = await Tree(self.leader).end(lambda: merciless_at)
        return self._ended(death, reason, swept, why)

    async def _leader_gone(self) -> None:
        await trio.lowlevel.wait_readable(self.pidfd)

    def _is_dead(self) -> bool:
        return bool(select.select([self.pidfd], [], [], 0)[0])

    async def _drain(self) -> None:
        """A reply comes behind all that was printed before."""
        if self.reader.client is not None:
            with suppress(TmuxError):
                await self.reader.client.command("display-message", "-p", "")

    async def _death(self) -> tuple[Death, str]:
        """How tmux says that its child ended; and why it does not say it."""
        with trio.move_on_after(_DEATH_WAIT):
            while True:
                try:
                    lines = await self._ask("list-panes", "-t", self.place.pane, "-F", _DEATH)
                    death = parse_death(_line_of(lines, self.place.pane))
                except TmuxError as error:
                    with trio.move_on_after(_HANGUP_WAIT):
                        await self.reader.gone.wait()
                    return Death(), self.reader.lost or f"nobody knows how it ended: {error}"
                if death is not None:
                    return _named(death), ""
                await trio.sleep(_PAUSE)
                self._remind()
        return Death(), "nobody knows how it ended: tmux does not tell"

    def _remind(self) -> None:
        """tmux now and then misses the signal that its child has ended, and then waits for the end of another one."""
        if self.host is not None:
            with suppress(PermissionError):
                send_signal(self.host, signal.SIGCHLD)

    async def _ask(self, *arguments: str) -> list[str]:
        """By the client that reads, where there is one: its reply then comes behind the last bytes."""
        client = self.reader.client
        try:
            return await (run_tmux(self.server, *arguments) if client is None else client.command(*arguments))
        except TmuxError as error:
            if client is None or error.kind != "client":
                raise
            return await run_tmux(self.server, *arguments)

    def _ended(
        self, death: Death, reason: EndReason, swept: tuple[str, ...], detail: str, *, released: bool = False
    ) -> Ended:
        at = time.time()
        return Ended(
            attempt=self.ask.request.attempt,
            code=death.code,
            signal=death.signal or None,
            exited_at=at,
            at=at,
            reason=reason,
            stdout_bytes=0,
            stderr_bytes=0,
            terminal_bytes=self.reader.spool.size,
            swept=swept,
            detail=detail,
            released=released,
        )


@asynccontextmanager
async def open_pane(
    server: Server, session: str, ask: AskSpawn, reader: PaneReader, nursery: trio.Nursery
) -> AsyncIterator[AdoptedPane]:
    """The active pane of a session, read by ``reader`` in the nursery. At the end it is as it was. Raise TmuxError."""
    line = _line_of(await run_tmux(server, "list-panes", "-t", session, "-F", f"#{{pane_active}} {_WHERE}"), "1")
    name, pane, pid, tty, host, socket = line.split(" ", 5)
    tmux = ask.order.task.tmux
    place = Place(socket, name, pane, tty, adopted=True, own=tmux is not None and tmux.own)
    leader = read_process(int(pid))
    if leader is None:
        raise TmuxError(f"{server}: what ran in {session} has just ended", "target")
    pidfd = os.pidfd_open(leader.pid)
    try:
        await nursery.start(reader.run, (*ATTACH, session), lambda _: place)
        async with _marked(server, pane, ask.request.attempt):
            spawned = Spawned(leader.pid, leader.start_ticks, time.time())
            yield AdoptedPane(
                ask=ask,
                server=server,
                place=place,
                leader=leader,
                host=read_process(int(host)),
                spawned=spawned,
                reader=reader,
                pidfd=pidfd,
            )
    finally:
        os.close(pidfd)


@asynccontextmanager
async def _marked(server: Server, pane: str, attempt: str) -> AsyncIterator[None]:
    """It says whose it is, and stays when its program ends: only then tmux tells how."""
    (remains,) = await run_tmux(server, "show-options", "-p", "-A", "-v", "-t", pane, "remain-on-exit")
    if await run_tmux(server, "show-options", "-p", "-q", "-v", "-t", pane, OPTION):
        remains = "off"  # a callboard that was killed had it, and has set this
    await run_tmux(server, "set-option", "-p", "-t", pane, OPTION, attempt)
    if remains == "off":
        await run_tmux(server, "set-option", "-p", "-t", pane, "remain-on-exit", "on")
    try:
        yield
    finally:
        with trio.move_on_after(_CLEANING, shield=True), suppress(TmuxError):
            dead = _line_of(await run_tmux(server, "list-panes", "-t", pane, "-F", "#{pane_id} #{pane_dead}"), pane)
            await run_tmux(server, "set-option", "-p", "-u", "-t", pane, OPTION)
            if remains == "off":
                await run_tmux(server, "set-option", "-p", "-u", "-t", pane, "remain-on-exit")
                if dead == "1":
                    await run_tmux(server, "kill-pane", "-t", pane)


def _line_of(lines: list[str], first: str) -> str:
    """The rest of the line that begins with this word."""
    return next((line.partition(" ")[2] for line in lines if line.partition(" ")[0] == first), "")


def write_status(ask: AskSpawn, pane: AdoptedPane, ended: Ended | None) -> None:
    """What a later callboard finds where this one was killed. Raise SpawnError."""
    request = ask.request
    path = from_os(request.status)
    status = Status(
        state="running" if ended is None else "ended",
        attempt=request.attempt,
        pid=pane.leader.pid,
        start_ticks=pane.leader.start_ticks,
        boot_id=_BOOT_ID.read_text(encoding="ascii").strip(),
        code=None if ended is None else ended.code,
        signal=None if ended is None else ended.signal,
        exited_at=None if ended is None else ended.exited_at,
        terminal_bytes=None if ended is None else ended.terminal_bytes,
        reason=None if ended is None else ended.reason,
    )
    try:
        file = StatusFile(path)
        file.write(status)
    except OSError as error:
        raise SpawnError(f"{os.fsdecode(path)}: {error.strerror}") from error
    file.close()


def _named(death: Death) -> Death:
    """With the name of its signal, of which some versions of tmux tell the number."""
    if not death.signal:
        return death
    known = death.signal.removeprefix("SIG")
    return Death(signal=signal_name(int(known)) if known.isdecimal() else f"SIG{known.upper()}")


async def _cancel_after(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel(reason="this came first")
