"""A terminal with a shell in it, as a person would use it."""

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.keeper_client import DEADLINE
from tests.running import CALLBOARD, RunningPlan

__all__ = ["Terminal", "open_terminal"]

_ENVIRONMENT = {"PS1": "ready> ", "ENV": "", "TERM": "xterm-256color", "LANG": "C.UTF-8"}


class Terminal:
    """What is typed reaches whoever is in the foreground; what is printed is kept."""

    def __init__(self, cwd: Path) -> None:
        self.printed = b""
        self._master, slave = pty.openpty()
        self.shell = subprocess.Popen(
            ["/bin/sh", "-i"],
            cwd=cwd,
            env={**os.environ, "PATH": f"{CALLBOARD.parent}:{os.environ['PATH']}", **_ENVIRONMENT},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here
        )
        os.close(slave)
        self.wait_for(b"ready> ")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: bytes) -> None:
        """Read on until this is printed; forget all up to there."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.printed:
            ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} is not in {self.printed!r}"
            self.printed += os.read(self._master, 65536)
        self.printed = self.printed.partition(text)[2]

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        if self._master >= 0:
            self.hang_up()
        self.shell.wait(DEADLINE)


@contextmanager
def open_terminal(cwd: Path, *plan: str) -> Iterator[tuple[Terminal, RunningPlan]]:
    """A terminal in a folder with this plan. The run is looked at once somebody has typed the command for it."""
    (cwd / "plan.toml").write_text("\n".join(plan))
    terminal = Terminal(cwd)
    run = RunningPlan(cwd, terminal.shell)
    try:
        yield terminal, run
    finally:
        terminal.close()
        run.close()
