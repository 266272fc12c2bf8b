"""Restores the terminal if this process dies without having done it: killed, crashed, or in haste."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from actors.strays import BESIDE

__all__ = ["Guard", "open_guard"]

# What the last line says is to be done when the file ends, which is when we are gone. A shell that already lets
# somebody edit the next command has set modes of its own.
_SCRIPT = """
trap '' INT QUIT TSTP TTIN TTOU TERM HUP
modes=
while read -r line; do modes=$line; done
[ -n "$modes" ] || exit 0
printf %b "$1"
case $(stty -a <&1) in
    *' -icanon'*) ;;
    *) stty "$modes" <&1 ;;
esac
"""
_SHELL = "/bin/sh"
_NAME = "guard"  # not ours: whoever kills all that is called like us shall not hit it
_VARIABLE = "CALLBOARD_MARK"
_PATIENCE = 1.0  # for a shell to read a line and to end; usually a millisecond


@dataclass(slots=True)
class Guard:
    """A shell that waits for our end."""

    _pipe: int
    armed: bool = False
    """It has something to restore once this process is gone."""

    def tell(self, modes: str) -> None:
        """What to restore if we die from now on: what it was started for, and ``modes``, a word for ``stty``.

        Nothing where that is empty. May be called in any thread, and never blocks.
        """
        with suppress(BrokenPipeError):  # somebody has killed it
            os.write(self._pipe, f"{modes}\n".encode())
        self.armed = bool(modes)


@asynccontextmanager
async def open_guard(fd: int, restore: bytes) -> AsyncIterator[Guard]:
    """``restore``: what to write to the terminal ``fd``. Raise OSError.

    At the end it is gone too, unless it is armed: then it does its work after the end of this process.
    """
    read, write = os.pipe()
    try:
        pidfd = os.pidfd_open(_spawn(fd, read, restore))
    except OSError:
        os.close(write)
        raise
    finally:
        os.close(read)
    guard = Guard(write)
    try:
        yield guard
    finally:
        if not guard.armed:
            os.close(write)
            with trio.move_on_after(_PATIENCE, shield=True):  # later than that, whoever gets our children reaps it
                await trio.lowlevel.wait_readable(pidfd)
            _reap(pidfd)
        # Else nobody closes that before the kernel does: a thread of ours may still write to the terminal.
        os.close(pidfd)


def _reap(pidfd: int) -> None:
    with suppress(ChildProcessError):  # somebody has killed it, and it was taken for a stray
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)


def _spawn(fd: int, stdin: int, restore: bytes) -> int:
    outer = os.environ.get(_VARIABLE)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        _VARIABLE: f"{outer}:{BESIDE}" if outer else BESIDE,
    }
    escaped = "".join(f"\\0{byte:03o}" for byte in restore)
    return os.posix_spawn(
        _SHELL,
        [_SHELL, "-c", _SCRIPT, _NAME, escaped],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, fd, 1),
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            *((os.POSIX_SPAWN_CLOSE, other) for other in _inherited()),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
    )


def _inherited() -> Iterator[int]:
    """Descriptors that whoever started us left open, such as locks: ours are closed on exec."""
    for path in Path("/proc/self/fd").iterdir():
        number = int(path.name)
        with suppress(OSError):  # that of the folder itself
            if number > 2 and os.get_inheritable(number):
                yield number
