"""The sources that a worker's bytes may come from, for tests that hold for all of them."""

from dataclasses import dataclass
from typing import Any

from protocols.events import WorkerOutput
from protocols.kinds import Source, Stream
from tests.running import RunningPlan, python, task
from tests.writers import writer

__all__ = ["KINDS", "LOGFILE", "PIPE", "PTY", "TMUX", "Kind"]


@dataclass(frozen=True)
class Kind:
    """A source, and what a test has to know of it."""

    source: Source
    stream: Stream
    """Where the bytes of a worker's stdout are."""
    exact: str = ""
    """What a Python worker says first, so that nothing is added to what it writes."""
    holds: int = 256 * 1024
    """So many bytes at most are with the kernel: written, and not yet in the spool."""
    pile: int = 32 * 1024
    """So many bytes of a worker are with the kernel at least when its disk is full; a pipe holds twice as much."""

    copied_by_us: bool = False
    """Callboard itself copies it: when that is killed, what comes later is not in the spool."""
    much: int = 16 * 2**20
    """Bytes that take it a second or two."""
    kept: bool = True
    """What a worker writes while callboard is dead is kept. Not in tmux: callboard writes that spool, and tmux reads
    on."""

    @property
    def name(self) -> str:
        return f"{self.source} of others" if self.copied_by_us else self.source

    def python(self, name: str, script: str, **keys: object) -> str:
        return python(name, f"{self._prologue(name)}\n{script}", **self._keys(name), **keys)

    def shell(self, name: str, script: str, **keys: object) -> str:
        redirected = f"exec >> {name}.log\n{script}" if self.copied_by_us else script
        return task(name, redirected, **self._keys(name), **keys)

    def writer(self, name: str, *, size: float = float("inf")) -> str:
        """One without an end leaves the machine some time for others."""
        keys: dict[str, Any] = self._keys(name)
        pause = 0.001 if size == float("inf") else 0.0
        return writer(name, size=size, pause=pause, prologue=self._prologue(name), **keys)

    def _prologue(self, name: str) -> str:
        to_file = f"import os; os.dup2(os.open('{name}.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)"
        return to_file if self.copied_by_us else self.exact

    def _keys(self, name: str) -> dict[str, object]:
        log = {"logfile": {"path": f"{name}.log", "appear_within": "1h"}} if self.copied_by_us else {}
        return {"source": self.source, **log}

    def spool(self, run: RunningPlan, name: str) -> bytes:
        """Of the first attempt."""
        return run.spool(name, stream=self.stream)

    def wait_for(self, run: RunningPlan, name: str, text: bytes) -> bytes:
        return run.wait_for_output(name, text, self.stream)

    def covered(self, run: RunningPlan, name: str) -> int:
        """How many bytes the records cover, each exactly once and in order."""
        end = 0
        for output in run.events(WorkerOutput, name):
            if output.stream == self.stream:
                assert output.offset == end
                end += output.length
        return end


PIPE = Kind("pipe", "stdout")
PTY = Kind("pty", "terminal", exact="import tty; tty.setraw(1)", holds=160 * 1024, pile=0)
LOGFILE = Kind("logfile", "stdout", holds=0, pile=0)
LOG = Kind("logfile", "log", holds=2**62, pile=0, copied_by_us=True)
TMUX = Kind("tmux", "terminal", exact="import tty; tty.setraw(1)", much=4 * 2**20, kept=False)
KINDS = [PIPE, PTY, LOGFILE, LOG, TMUX]
