"""Processes that are clients of a tmux server: started one after another, and ended."""

import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from actors.limits import users_open_files
from protocols.errors import TmuxError

__all__ = ["Server", "end_process", "start_process", "take_turn"]

# A control client outlives whoever commanded it, and then its server cannot end either: it has to go when we do.
_BOOT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
_PARTING = 1.0  # between the end of its input and KILL
_PATIENCE = 10.0  # with who has the turn; usually 20 ms


@dataclass(frozen=True, slots=True)
class Server:
    """Where a tmux server is to be found, and the environment in which its clients run."""

    flags: tuple[str, ...]
    """``-S PATH`` or ``-L NAME``."""
    environ: Mapping[str, str]
    turn: trio.Lock = field(default_factory=trio.Lock, compare=False, repr=False)
    """Held while a client comes, goes or commands. tmux (3.3a at least) crashes on whatever it has to tell a control
    client that has only half connected: so long, nothing else must happen there by us."""

    def __str__(self) -> str:
        return f"tmux server {self.flags[1]}"


@asynccontextmanager
async def take_turn(server: Server) -> AsyncIterator[None]:
    """Alone with the server, unless somebody else hangs there: then at once."""
    with trio.move_on_after(_PATIENCE) as patience:
        await server.turn.acquire()
    try:
        yield
    finally:
        if not patience.cancelled_caught:
            server.turn.release()


def start_process(server: Server, arguments: Sequence[str], streams: tuple[int | None, int], *, stays: bool) -> int:
    """Raise `TmuxError` where there is no tmux."""
    program = shutil.which("tmux", path=server.environ.get("PATH", os.defpath))
    if program is None:
        raise TmuxError("tmux is not installed; install it, or choose another source")
    command = [program, "-N", *server.flags, *arguments]
    if stays:
        command = [sys.executable, "-I", "-S", "-c", _BOOT, *command]
    stdin, stdout = streams
    with users_open_files(*([stdout] if stdin is None else [stdin, stdout])) as places:
        actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_DUP2, places[-1], 1),
            (os.POSIX_SPAWN_DUP2, places[-1], 2),
        ]
        if stdin is None:
            actions.insert(0, (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
        else:
            actions.insert(0, (os.POSIX_SPAWN_DUP2, places[0], 0))
        return os.posix_spawn(
            command[0],
            command,
            server.environ,
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )


async def end_process(pidfd: int) -> bool:
    """Reap it, by force where it does not go by itself. Return whether it failed."""
    with trio.move_on_after(_PARTING, shield=True) as patience:
        await trio.lowlevel.wait_readable(pidfd)
    if patience.cancelled_caught:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        with trio.move_on_after(_PARTING, shield=True):
            await trio.lowlevel.wait_readable(pidfd)
    return _reap(pidfd)


def _reap(pidfd: int) -> bool:
    try:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:  # who reaps all that comes to us was faster
        return False
    return ended is None or ended.si_status != 0
