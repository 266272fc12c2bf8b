"""A process that draws on a terminal (`tests.drawer`), and what a test sees of both."""

import fcntl
import os
import pty
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.keeper_client import DEADLINE, is_alive
from tests.terminal import Terminal

__all__ = ["ENTER", "LEAVE", "Drawer", "drawing", "drawing_in_shell"]

ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l"
LEAVE = b"\x1b[?2026l\x1b[m\x1b[?7h\x1b[?25h\x1b[999H\x1b[?1049l"
_ROOT = Path(__file__).resolve().parent.parent
_PAUSE = 0.005
_DEADLY = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP)


class _Line:
    """The line discipline of a terminal: ``fd`` is open on it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def set_echo(self, *, on: bool) -> None:
        modes = termios.tcgetattr(self.fd)
        modes[3] = modes[3] & ~termios.ECHO | (termios.ECHO if on else 0)
        termios.tcsetattr(self.fd, termios.TCSANOW, modes)

    def hold(self) -> None:
        """As Ctrl-S does: from now on the terminal takes nothing."""
        termios.tcflow(self.fd, termios.TCOOFF)

    def go_on(self) -> None:
        termios.tcflow(self.fd, termios.TCOON)


class Drawer:
    """The process, started by whoever runs its command."""

    def __init__(self, folder: Path) -> None:
        self._told = folder / "told"
        self._told.touch()
        self.command = [sys.executable, "-m", "tests.drawer", os.fspath(self._told)]
        self.typed = f"PYTHONPATH={_ROOT} {shlex.join(self.command)}"
        """For a shell."""

    @property
    def told(self) -> list[str]:
        """What it said so far."""
        return self._told.read_text().splitlines()

    @property
    def pid(self) -> int:
        return int(self.told[0])

    @property
    def guard(self) -> int:
        """Its only child."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text())

    @property
    def guard_watches(self) -> bool:
        """It has come so far that no signal but KILL ends it."""
        return _ignores(self.guard, signal.SIGTERM)

    @property
    def parent(self) -> int:
        return int(self._stat()[1])

    @property
    def is_stopped(self) -> bool:
        return self._stat()[0] == "T"

    def ignores(self, number: int) -> bool:
        return _ignores(self.pid, number)

    def _stat(self) -> list[str]:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> None:
        """By force, where it has begun and has not ended."""
        if self.told and is_alive(self.pid):
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)

    def wait_for_word(self, text: str, count: int = 1) -> None:
        """Until it has told this so many times."""
        self.wait_until(lambda: self.told.count(text) >= count)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"it never came true: {self.told}"
            self.pause()

    def pause(self) -> None:
        time.sleep(_PAUSE)


class Drawing(Drawer):
    """It is alone on a terminal of 80x24 cells, of which each waiting reads what is printed."""

    def __init__(
        self, folder: Path, *, env: Mapping[str, str], fds: tuple[int, ...], ignored: int, echoes: bool
    ) -> None:
        super().__init__(folder)
        self.printed = b""
        self.master, self.slave = pty.openpty()
        self.line = _Line(self.slave)
        self.resize(80, 24)
        self.line.set_echo(on=echoes)

        def become_owner() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in _DEADLY:  # the tests may run in the background, where some are ignored
                signal.signal(number, signal.SIG_DFL)
            if ignored:
                signal.signal(ignored, signal.SIG_IGN)

        self.process = subprocess.Popen(
            self.command,
            cwd=_ROOT,
            env={**os.environ, **env},
            stdin=self.slave,
            stdout=self.slave,
            pass_fds=fds,
            start_new_session=True,
            preexec_fn=become_owner,  # noqa: PLW1509 - no threads here
        )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, text: bytes, count: int = 1) -> None:
        """Until this has been printed so many times."""
        self.wait_until(lambda: self.printed.count(text) >= count)

    def pause(self) -> None:
        self.read(_PAUSE)

    def read(self, patience: float = 0.0) -> bytes:
        """All that was printed so far."""
        if self.master < 0:
            time.sleep(patience)
            return self.printed
        while select.select([self.master], [], [], patience)[0]:
            self.printed += os.read(self.master, 65536)
            patience = 0.0
        return self.printed

    def finish(self, code: int = 0) -> None:
        """Wait for the end, and fail if that is another one."""
        self.wait_until(lambda: self.process.poll() is not None)
        assert self.process.returncode == code, self.told
        self.read()

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.master >= 0:
            self.hang_up()


class Shell(Terminal):
    """A terminal with a shell in it, which runs the process."""

    def __init__(self, cwd: Path) -> None:
        super().__init__(cwd)
        self.line = _Line(os.open(f"/proc/{self.shell.pid}/fd/0", os.O_RDWR | os.O_NOCTTY))

    def close(self) -> None:
        os.close(self.line.fd)
        super().close()

    def read_until(self, text: bytes) -> bytes:
        """What is printed before this."""
        while text not in self.printed:
            assert select.select([self._master], [], [], DEADLINE)[0], f"{text!r} is not in {self.printed!r}"
            self.printed += os.read(self._master, 65536)
        before, _, self.printed = self.printed.partition(text)
        return before


def _ignores(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigIgn:")[2].split()[0], 16) & 1 << number - 1)


@contextmanager
def drawing(
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    fds: tuple[int, ...] = (),
    ignored: int = 0,
    echoes: bool = True,
) -> Iterator[Drawing]:
    """The first picture is on the terminal, which showed what is typed if it ``echoes``. ``ignored``: a signal."""
    process = Drawing(folder, env=env or {}, fds=fds, ignored=ignored, echoes=echoes)
    try:
        process.wait_for(b"picture 1 80x24.")
        process.wait_for_word("drawn")
        yield process
    finally:
        process.close()


@contextmanager
def drawing_in_shell(folder: Path, before: str = "", around: str = "{}") -> Iterator[tuple[Shell, Drawer]]:
    """Somebody has typed the command for it into a shell, after ``before`` and as a part of ``around``."""
    terminal, drawer = Shell(folder), Drawer(folder)
    try:
        terminal.type(f"{before}{around.format(drawer.typed)}\n")
        terminal.wait_for(b"picture 1 ")
        yield terminal, drawer
    finally:
        terminal.close()
        drawer.end()
