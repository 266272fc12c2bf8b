"""A terminal emulator with a shell in it: what a person would see there, and what it was told to be."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.keeper_client import DEADLINE
from tests.require import needs
from tests.running import CALLBOARD

__all__ = ["Tmux", "open_tmux"]

_PAUSE = 0.02
_SHELL = "exec env PATH={path} PS1='ready> ' bash --norc --noprofile -i"


class Tmux:
    """A server of its own with one pane."""

    def __init__(self, cwd: Path, server: subprocess.Popen[bytes]) -> None:
        self.cwd = cwd
        self.server = server

    def command(self, *arguments: str) -> str:
        done = subprocess.run(_command(self.cwd, *arguments), check=True, capture_output=True, text=True)
        return done.stdout

    def type(self, *keys: str) -> None:
        """Text, or names of keys such as ``Enter`` and ``C-c``."""
        self.command("send-keys", *keys)

    def run(self, line: str) -> None:
        """Type a line for the shell."""
        self.type("-l", line)
        self.type("Enter")

    @property
    def screen(self) -> list[str]:
        """The rows without the blanks at their ends; those of the alternate screen while that is shown."""
        return [row.rstrip() for row in self.command("capture-pane", "-p").split("\n")[:-1]]

    @property
    def text(self) -> str:
        return "\n".join(self.screen)

    def told(self, name: str) -> str:
        """What tmux knows of the pane, such as ``cursor_flag`` or ``alternate_on``."""
        return self.command("display-message", "-p", f"#{{{name}}}").strip()

    def resize(self, columns: int, rows: int) -> None:
        self.command("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"it never came true; the screen:\n{self.text}"
            time.sleep(_PAUSE)

    def wait_for(self, text: str) -> None:
        """Until this is on the screen."""
        self.wait_until(lambda: text in self.text)

    def close(self) -> None:
        subprocess.run(_command(self.cwd, "kill-server"), check=False, capture_output=True)
        self.server.wait(DEADLINE)


def _command(cwd: Path, *arguments: str) -> list[str]:
    return ["tmux", "-u", "-S", str(cwd / "tmux"), "-f", "/dev/null", *arguments]


@contextmanager
def open_tmux(cwd: Path, *, columns: int = 100, rows: int = 30, env: Mapping[str, str] | None = None) -> Iterator[Tmux]:
    """A shell in this folder; it has ``callboard`` on its PATH."""
    needs("tmux", "install tmux")
    environment = {**os.environ, "LANG": "C.UTF-8", **(env or {})}
    shell = _SHELL.format(path=shlex.quote(f"{CALLBOARD.parent}:{os.environ['PATH']}"))
    with subprocess.Popen(_command(cwd, "-D"), cwd=cwd, env=environment) as server:
        tmux = Tmux(cwd, server)
        try:
            tmux.wait_until((cwd / "tmux").exists)
            tmux.command("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(cwd), shell)
            tmux.wait_for("ready>")
            yield tmux
        finally:
            tmux.close()
