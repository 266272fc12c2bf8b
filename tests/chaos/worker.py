"""A worker that behaves badly, in the same way for the same seed. Run as a program, with the standard library alone.

It writes bytes that a test can make again, in pieces of odd sizes, forks children and daemons that hold its output or
close it, ignores TERM at times, and ends as it likes. What it did is in a ledger, line by line: before each write how
far it will have come, after each write how far it has come, with the sha256 of all until there.
"""

import hashlib
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.chaos.content import Content

__all__ = ["CONTENT"]

CONTENT = "{seed}/{stream}"
"""The seed of what goes to a stream, which is called by its number."""
_SECONDS = 1000.0
_F_GETPIPE_SZ = 1032


class Ledger:
    """Survives any kill: a line is one write at the end of a file."""

    def __init__(self, folder: str) -> None:
        attempt = os.environ["CALLBOARD_MARK"].rsplit("/", 1)[1]
        self._fd = os.open(os.path.join(folder, attempt), os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # noqa: PTH118
        self._pids = os.open(os.path.join(folder, "pids"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # noqa: PTH118

    def note(self, line: str) -> None:
        os.write(self._fd, f"{line}\n".encode())

    def note_process(self) -> None:
        """Our own pid and start time."""
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        os.write(self._pids, f"{os.getpid()} {stat[19]}\n".encode())


class Voice:
    """One stream of output."""

    def __init__(self, fd: int, seed: str, ledger: Ledger) -> None:
        self._fd, self._ledger = fd, ledger
        self._content = Content(CONTENT.format(seed=seed, stream=fd))
        self._sha, self._end = hashlib.sha256(), 0

    def say(self, size: int) -> None:
        data = self._content.take(size)
        while data:
            self._ledger.note(f"before {self._fd} {self._end + len(data)}")
            count = os.write(self._fd, data)
            self._sha.update(data[:count])
            self._end += count
            data = data[count:]
            self._ledger.note(f"after {self._fd} {self._end} {self._sha.hexdigest()} {self._room()}")

    def _room(self) -> int:
        """Bytes that the kernel keeps until somebody reads them; 0 of a terminal, which does not tell."""
        import fcntl  # noqa: PLC0415 - it may change from one write to the next, this does not

        try:
            return fcntl.fcntl(self._fd, _F_GETPIPE_SZ)
        except OSError:
            return 0


class Worker:
    """What it is by ``traits``: ``terminal``, it has one; ``stays``, it does not end by itself; ``runners``, it starts
    processes that run away; ``marked``, all that it starts can be told by the mark."""

    def __init__(self, seed: str, folder: str, traits: set[str]) -> None:
        self._traits = traits
        self._random = random.Random(seed)
        self._ledger = Ledger(folder)
        fds = (1,) if "terminal" in traits else (1, 2)
        self._voices = [Voice(fd, seed, self._ledger) for fd in fds]
        self._ledger.note_process()

    def run(self) -> None:
        self._listen()
        acts = [self._mutter, self._mutter, self._burst, self._rest, self._child, self._daemon]
        acts += [self._runner] if "runners" in self._traits else []
        acts += [] if "marked" in self._traits else [self._hide]
        for _ in range(self._random.randint(3, 10)):
            self._random.choice(acts)()
        if self._random.random() < 0.2:
            self._hand_over()
        if "stays" in self._traits:
            time.sleep(_SECONDS)
        self._end()

    def _listen(self) -> None:
        """What TERM does to us."""
        match self._random.randrange(4):
            case 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case 1:
                signal.signal(signal.SIGTERM, lambda *_: self._leave(143 - 128))
            case _:
                pass

    def _mutter(self) -> None:
        for _ in range(self._random.randint(1, 12)):
            self._random.choice(self._voices).say(self._random.choice((1, 2, 3, 7, 80, 200, 1000, 4097)))
            if self._random.random() < 0.4:
                time.sleep(self._random.random() * 0.02)

    def _burst(self) -> None:
        voice = self._random.choice(self._voices)
        for _ in range(self._random.randint(1, 3)):
            voice.say(self._random.randint(10_000, 300_000))

    def _rest(self) -> None:
        time.sleep(self._random.random() * 0.2)

    def _child(self) -> None:
        """It holds our output, and lives a little or until somebody ends it."""
        seconds = self._random.choice((0.01, 0.1, 1.0, _SECONDS))
        deaf = self._random.random() < 0.5
        if not _fork():
            self._stay(seconds, deaf=deaf)

    def _daemon(self) -> None:
        """In a session of its own, without a parent. It holds our output or closes it."""
        holds, deaf = self._random.random() < 0.5, self._random.random() < 0.5
        child = _fork()
        if child:
            os.waitpid(child, 0)
            return
        os.setsid()
        if os.fork():
            os._exit(0)
        if not holds:
            os.closerange(0, 3)
        self._stay(_SECONDS, deaf=deaf)

    def _runner(self) -> None:
        """A chain of processes, each of which starts the next one and ends: it runs away from who looks for it."""
        if _fork():
            return
        os.setsid()
        for _ in range(200):
            if os.fork():
                os._exit(0)
            time.sleep(0.01)
        os._exit(0)

    def _hide(self) -> None:
        """Another program in another session, without the mark in its environment."""
        if not _fork():
            os.setsid()
            self._ledger.note_process()
            os.execve("/bin/sleep", ["sleep", "1000"], {})

    def _stay(self, seconds: float, *, deaf: bool) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else signal.SIG_DFL)
        self._ledger.note_process()
        time.sleep(seconds)
        os._exit(0)

    def _hand_over(self) -> None:
        """A child goes on with our output, while we go or wait."""
        child = _fork()
        if not child:
            self._ledger.note_process()
            self._mutter()
            self._burst()
            os._exit(0)
        if self._random.random() < 0.5:
            os.waitpid(child, 0)

    def _end(self) -> None:
        match self._random.randrange(8):
            case 0:
                os.kill(os.getpid(), signal.SIGKILL)
            case 1:
                os.kill(os.getpid(), signal.SIGUSR1)
            case 2 | 3:
                self._leave(self._random.randint(1, 255))
            case _:
                self._leave(0)

    def _leave(self, code: int) -> None:
        self._ledger.note(f"exit {code}")
        os._exit(code)


def _fork() -> int:
    """The child does not answer TERM as its parent does."""
    child = os.fork()
    if not child and signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return child


def main() -> None:
    seed, folder, *traits = sys.argv[1:]
    if "terminal" in traits:
        import tty  # noqa: PLC0415 - few workers have a terminal

        tty.setraw(1)
    try:
        Worker(seed, folder, set(traits)).run()
    except OSError:  # who read our output is gone
        os._exit(99)


if __name__ == "__main__":
    main()
