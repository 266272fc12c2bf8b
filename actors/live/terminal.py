"""The terminal as a place for pictures: its modes, its size, job control, and writing that holds up nobody."""

import os
import select
import signal
import termios
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio

from actors.cells import Size
from actors.display import write_all
from actors.live.claim import Claim, open_claim
from actors.live.guard import Guard, open_guard

__all__ = ["Terminal", "in_foreground", "is_dull", "open_terminal"]

# xterm's private modes: alternate screen, cursor, wrapping, synchronized output (off, should we leave within it).
_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l"
# The last row is for terminals without an alternate screen; the others go back to where the cursor was.
_LEAVE = b"\x1b[?2026l\x1b[m\x1b[?7h\x1b[?25h\x1b[999H\x1b[?1049l"
_LOCAL_FLAGS = 3  # of what tcgetattr returns
_LOOK_EVERY = 1.0  # a shell need not tell us that it is our turn
_PATIENCE = 1.0  # for a terminal that takes nothing, where somebody wants to go on
_DULL = frozenset({"", "dumb", "unknown"})


@dataclass(slots=True)
class Terminal:
    """A terminal that shows pictures while we are in its foreground.

    What changes it happens in a thread, one thing after the other, for it may take hours to take a byte.
    """

    fd: int
    wake: Callable[[], None]
    """Called when there is a reason to write a picture."""
    guard: Guard
    claim: Claim
    shows: bool = False
    """Whether it shows what is written; if not, that is dropped."""
    epoch: int = 0
    """Grows whenever what was written before may not be seen any more."""
    _enters: bool = False
    """Its modes have to be set before something is written."""
    _entered: bool = False
    _echo: bool = False
    """It showed what is typed."""
    _limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    def size(self) -> Size:
        """As it is now; 80x24 where it does not know."""
        try:
            columns, rows = os.get_terminal_size(self.fd)
        except OSError:  # it is gone: writing will tell
            columns = rows = 0
        return Size(columns or _number("COLUMNS", 80), rows or _number("LINES", 24))

    async def write(self, data: bytes) -> bool:
        """Return when it has taken that. False: it is gone.

        A terminal that is stopped takes nothing; if the wait is cancelled then, a part of it may appear later.
        """
        self.shows = self.shows and in_foreground(self.fd)
        if not self.shows:
            return True
        enters, self._enters = self._enters, False
        return await self._in_thread(lambda: self._write(data, enters=enters))

    def has_hung_up(self) -> bool:
        """Whether nobody is there any more."""
        poll = select.poll()
        poll.register(self.fd, 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    async def restore(self) -> None:
        """Make it what it was. Return when that is done, or it is gone."""
        self.shows = False
        await self._in_thread(self._leave)

    async def obey(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Follow what signals and shells do to the terminal. Runs until cancelled."""
        with trio.open_signal_receiver(*_heard()) as signals:
            self._look()
            task_status.started()
            while True:
                number = None
                with trio.move_on_after(_LOOK_EVERY):
                    number = await anext(signals)
                if number is None and self.shows == self._is_ours():
                    continue
                if number == signal.SIGTSTP:
                    await self._suspend()
                self._look(number)
                self.wake()

    def _look(self, number: int | None = None) -> None:
        """Whether it is our turn. If it was somebody else's, anything may be on the screen, and any modes set."""
        showed, self.shows = self.shows, self._is_ours()
        self._enters |= not showed or number != signal.SIGWINCH
        self.epoch += 1

    def _is_ours(self) -> bool:
        return in_foreground(self.fd) and self.claim.take()

    async def _suspend(self) -> None:
        """Stop, as whoever pressed Ctrl-Z wants it; return when we go on."""
        with trio.move_on_after(_PATIENCE):  # one that takes nothing stays as it is
            await self.restore()
        self.claim.drop()
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, before)

    async def _in_thread(self, change: Callable[[], bool]) -> bool:
        return await trio.to_thread.run_sync(_unhindered, change, limiter=self._limiter, abandon_on_cancel=True)

    def _write(self, data: bytes, *, enters: bool) -> bool:
        if enters:
            self._echo = self._echo or _echoes(self.fd)
            self._entered = True
            self.guard.tell("echo" if self._echo else "-echo")
            _set_echo(self.fd, on=False)
        return write_all(self.fd, _ENTER + data if enters else data)

    def _leave(self) -> bool:
        if not self._entered:
            return True
        lives = write_all(self.fd, _LEAVE)
        if self._echo and in_foreground(self.fd):  # else its modes are those of whoever is
            _set_echo(self.fd, on=True)
        self.guard.tell("")
        self._entered = False
        return lives


@asynccontextmanager
async def open_terminal(fd: int, wake: Callable[[], None]) -> AsyncIterator[Terminal]:
    """A terminal for pictures; the first one that is written hides what was there. Raise OSError.

    While those of somebody else are shown there, ours are not. At the end all is as before; where the terminal takes
    nothing, that is waited for. If that wait is cancelled, or we are killed, a guard does it when we are gone.
    """
    async with open_guard(fd, _LEAVE) as guard:
        terminal = Terminal(fd, wake, guard, open_claim(fd))
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(terminal.obey)
                yield terminal
                await terminal.restore()
                nursery.cancel_scope.cancel(reason="the terminal is no longer ours")
        finally:
            with trio.move_on_after(_PATIENCE, shield=True):  # else it is left to the guard
                await terminal.restore()


def is_dull(environ: Mapping[str, str]) -> bool:
    """Whether TERM says that the terminal can do nothing but print, or says nothing."""
    return environ.get("TERM", "") in _DULL


def in_foreground(fd: int) -> bool:
    """Whether the terminal is ours to write on. One that is not the one that controls us is."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True


def _heard() -> list[signal.Signals]:
    """Whoever started us may have us ignore Ctrl-Z."""
    ignored = signal.getsignal(signal.SIGTSTP) is signal.SIG_IGN
    return [signal.SIGWINCH, signal.SIGCONT, *([] if ignored else [signal.SIGTSTP])]


def _unhindered(change: Callable[[], bool]) -> bool:
    """A shell may take the terminal at any moment: what has begun is then not stopped halfway."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        return change()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _echoes(fd: int) -> bool:
    with suppress(termios.error):  # it has hung up: writing will tell
        return bool(termios.tcgetattr(fd)[_LOCAL_FLAGS] & termios.ECHO)
    return False


def _set_echo(fd: int, *, on: bool) -> None:
    with suppress(termios.error):
        flags = termios.tcgetattr(fd)
        flags[_LOCAL_FLAGS] = flags[_LOCAL_FLAGS] & ~termios.ECHO | (termios.ECHO if on else 0)
        termios.tcsetattr(fd, termios.TCSANOW, flags)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() and 0 < int(text) < 10000 else default
