"""Reads what is printed to a pane of tmux into a spool: by a control client, and while that is gone by looking."""

import fcntl
import os
import termios
import tty
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import trio

from actors.spool_writer import SpoolWriter
from actors.tmux_client import ControlClient, open_client, run_tmux
from actors.tmux_process import Server
from protocols.errors import TmuxError
from protocols.keeper import Missed, Report
from protocols.pane import Pane
from protocols.tmux_panes import Until, new_lines

__all__ = ["ATTACH", "OPTION", "PaneReader", "Place", "marker"]

ATTACH = ("attach-session", "-E", "-f", "ignore-size", "-t")
"""The command of a client that only reads, before the id of a session: it changes neither size nor variables."""

OPTION = "@callboard-attempt"
"""Of a pane: the attempt that has it."""

_POLL_EVERY = 1.0
_HISTORY = "-200"  # lines above the screen: what scrolled away since the last look
_LONGEST_PAUSE = 30.0  # between two tries to get a control client again
_HEALTHY = 10.0  # a client that lived so long was no failure from the start
_PATIENCE = 10.0  # for the last bytes of a pane, while not one comes


@dataclass(frozen=True, slots=True)
class Place:
    """A pane, as its server names it."""

    socket: str
    session: str
    pane: str
    tty: str
    adopted: bool = False
    own: bool = False


def marker(attempt: str, word: str) -> bytes:
    """Bytes that terminals ignore (a private message), for a place in what a pane prints."""
    return f"\x1b^callboard {attempt} {word}\x1b\\".encode()


@dataclass(slots=True, kw_only=True)
class PaneReader:
    """Follow one pane. ``tell`` takes what there is to say of it."""

    server: Server
    spool: SpoolWriter
    tell: Callable[[Report], Awaitable[None]]
    begin: Until | None = None
    """Nothing before this counts."""
    place: Place | None = None
    begun: trio.Event = field(default_factory=trio.Event)
    """The output counts from here."""
    gone: trio.Event = field(default_factory=trio.Event)
    """There is no more to come, for the reason ``lost`` or because `finish` was called."""
    lost: str = ""
    client: ControlClient | None = None
    """While one is attached."""
    _end: Until | None = None
    _finishing: trio.Event = field(default_factory=trio.Event)
    _ended: trio.Event = field(default_factory=trio.Event)
    _seen: list[bytes] = field(default_factory=list)
    _seen_at: int = 0
    """The size of the spool when the pane was looked at."""

    async def run(
        self,
        first: Sequence[str],
        locate: Callable[[list[str]], Place],
        *,
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """``first`` is the command of the first client, ``locate`` finds in its reply where the pane is.

        Raise `TmuxError` where that fails. Later errors are told and got over. Ends when the pane is gone.
        """
        try:
            async with open_client(self.server, *first) as (client, lines):
                self.place = locate(lines)
                task_status.started(lines)
                pause, why = await self._follow(client, self.place, 0.0)
            while not self._is_over() and not await self._is_gone(self.place):
                await self._fall_back(self.place, why)
                await self._look_until(self.place, pause)
                if not self._is_over():
                    pause, why = await self._attach(self.place, pause, why)
        finally:
            self.gone.set()

    async def finish(self, slave: int | None) -> None:
        """Nobody prints there any more: return when all that was printed is in the spool, or surely never will be.

        ``slave``: of its terminal, if the pane still has one.
        """
        self._end = Until(marker(self.spool.attempt, "end"))
        if slave is None or self.client is None:
            self._finishing.set()
            with trio.move_on_after(_PATIENCE):  # it looks once more
                await self.gone.wait()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_write_marker, slave, marker(self.spool.attempt, "end"))
            nursery.start_soon(self._wait_for_end, nursery.cancel_scope)
        self._finishing.set()

    async def _wait_for_end(self, scope: trio.CancelScope) -> None:
        before = -1
        while not self._ended.is_set() and self.client is not None:
            with trio.move_on_after(_PATIENCE) as patience:
                await self._ended.wait()
            if patience.cancelled_caught and self.spool.size == before and not self.spool.blocked:
                await self.miss("the last bytes of its pane did not come")
                break
            before = self.spool.size
        scope.cancel(reason="the pane is at its end")

    async def _follow(self, client: ControlClient, place: Place, pause: float) -> tuple[float, str]:
        """Read until the client is gone. Return how long to wait for another one, and why this one went."""
        started = trio.current_time()
        self.client = client
        try:
            await client.run(place.pane, self._take)
        finally:
            self.client = None
        if self._end is not None and not self._ended.is_set():
            await self.miss(f"its control client was gone before its last bytes ({client.reason})")
            self._ended.set()
        healthy = trio.current_time() - started > _HEALTHY
        return 0.0 if healthy else pause, client.reason

    async def _attach(self, place: Place, pause: float, why: str) -> tuple[float, str]:
        pause = min(max(2 * pause, _POLL_EVERY), _LONGEST_PAUSE)
        try:
            async with open_client(self.server, *ATTACH, place.session) as (it, _):
                if self._is_over():
                    return pause, why
                await self.miss("between the last look at its pane and the new control client")
                await self.tell_place("control", "a new control client is there")
                return await self._follow(it, place, pause)
        except TmuxError as error:
            return pause, str(error)

    async def _fall_back(self, place: Place, why: str) -> None:
        await self.miss(f"its control client is gone ({why})")
        await self.tell_place("polling", f"its control client is gone ({why})")
        if not self._seen or self.spool.size != self._seen_at:  # what was printed since then is in the spool
            self._seen, self._seen_at = await self._picture(place) or self._seen, self.spool.size

    async def _look_until(self, place: Place, pause: float) -> None:
        """Look at the pane now and then, for so long."""
        with trio.move_on_after(max(pause, _POLL_EVERY)):
            while not self._is_over():
                with trio.move_on_after(_POLL_EVERY):
                    await self._finishing.wait()
                await self._look(place)
        await self._look(place)

    async def _look(self, place: Place) -> None:
        picture = await self._picture(place)
        if picture is None:
            return
        lines, self._seen = new_lines(self._seen, picture), picture
        await self.spool.write(b"".join(line + b"\r\n" for line in lines))
        self._seen_at = self.spool.size

    async def _picture(self, place: Place) -> list[bytes] | None:
        try:
            lines = await run_tmux(self.server, "capture-pane", "-p", "-e", "-S", _HISTORY, "-t", place.pane)
        except TmuxError:
            return None
        return "\n".join(lines).rstrip("\n").encode().split(b"\n")

    async def _is_gone(self, place: Place) -> bool:
        """And why. A server that does not answer may still be there."""
        try:
            await run_tmux(self.server, "list-panes", "-t", place.pane)
        except TmuxError as error:
            if error.kind not in {"server", "target"}:
                return False
            what = "the tmux server is gone" if error.kind == "server" else "tmux closed its pane"
            self.lost = f"{what} ({error})"
            return True
        return False

    async def _take(self, data: bytes) -> None:
        if not data:
            return
        if self.begin is not None:
            _, behind = self.begin.feed(data)
            if behind is None:
                return
            data, self.begin = behind, None
            self.begun.set()
        if self._ended.is_set():
            return
        if self._end is not None:
            data, behind = self._end.feed(data)
            if behind is not None:
                await self.spool.write(data)
                self._ended.set()
                return
        await self.spool.write(data)

    async def miss(self, why: str, lost: int | None = None) -> None:
        """Tell that bytes are lost here, so many at least."""
        spool = self.spool
        await self.tell(Missed(attempt=spool.attempt, stream=spool.stream, offset=spool.size, lost=lost, why=why))

    async def tell_place(self, reading: Literal["control", "polling"], why: str = "") -> None:
        """Where it is, and how it is read from now on."""
        place = self.place
        if place is None:
            return
        await self.tell(
            Pane(
                attempt=self.spool.attempt,
                socket=place.socket,
                session=place.session,
                pane=place.pane,
                adopted=place.adopted,
                own=place.own,
                reading=reading,
                why=why,
            )
        )

    def _is_over(self) -> bool:
        return self._finishing.is_set() or self._ended.is_set()


async def _write_marker(slave: int, data: bytes) -> None:
    """Behind all that was written to the terminal. Raw, so that it stays what it is."""
    try:
        tty.setraw(slave, termios.TCSANOW)
        fcntl.ioctl(slave, termios.TCXONC, termios.TCOON)  # somebody may have pressed Ctrl-S
        while data:
            await trio.lowlevel.wait_writable(slave)
            data = data[_write(slave, data) :]
    except (OSError, termios.error):
        return  # tmux has closed it: the client tells


def _write(fd: int, data: bytes) -> int:
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
