"""Where the log lines of a run go: to a file of its folder, and those that cannot wait to whoever looks on."""

import logging
import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper

import trio

from actors.display import write_all
from actors.messages import Said
from protocols.board import JOURNAL
from protocols.layout import FleetFolder

__all__ = ["Sayer", "log_to", "open_log", "saying", "tell_log", "warn"]

_HELD = 20
_STDERR = 2


def warn(text: str) -> None:
    """Tell it on standard error, unless nobody reads that."""
    if select.select([], [_STDERR], [], 0)[1]:
        write_all(_STDERR, f"warning: {text}\n".encode(), wait=False)


@dataclass(slots=True)
class Sayer:
    """Says in the picture, while there is one, what would otherwise be written into it. For trio's thread."""

    outbox: trio.MemorySendChannel[Said]
    held: list[str] = field(default_factory=list)

    def say(self, about: str, text: str) -> None:
        """What is so until it is said to be over, by an empty ``text``."""
        kept = self._shown(Said(about, text)) and os.isatty(_STDERR)
        if text and not kept:
            warn(text)

    def warn(self, text: str) -> None:
        """What has to be read also by those who come back when there is no picture any more."""
        kept = self._shown(Said(text, text)) and os.isatty(_STDERR)
        if not kept:
            warn(text)
        elif len(self.held) < _HELD:
            self.held.append(text)

    def release(self) -> None:
        """The picture is gone: tell what was held."""
        for text in self.held:
            warn(text)
        self.held.clear()

    def _shown(self, said: Said) -> bool:
        """Whether there is a picture to show it."""
        with suppress(trio.WouldBlock):  # so much is said already that nobody can read it
            try:
                self.outbox.send_nowait(said)
            except trio.BrokenResourceError:
                return False
        return True


def saying(sayer: Sayer | None, about: str) -> Callable[[str], None]:
    """Say it in the picture, where there is one, as long as it is so; else on standard error, once."""
    return partial(sayer.say, about) if sayer is not None else lambda text: warn(text) if text else None


@contextmanager
def log_to(folder: FleetFolder, sayer: Sayer | None = None) -> Iterator[None]:
    """Log to the folder's file. That the journal cannot be written is told at once: no record can tell it."""
    file = _LogFile(folder.log, delay=True)
    teller = _Teller(warn if sayer is None else partial(sayer.say, JOURNAL))
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, journal = logging.getLogger(), logging.getLogger("actors.journal")
    root.addHandler(file)
    journal.addHandler(teller)
    try:
        yield
    finally:
        journal.removeHandler(teller)
        root.removeHandler(file)
        file.close()


@contextmanager
def tell_log(tell: Callable[[str], None]) -> Iterator[None]:
    """For a run whose log is not ours to write: tell, from any thread, what hindered its end, and drop the rest."""
    rest, teller = logging.NullHandler(), _Teller(tell)
    root, sweep = logging.getLogger(), logging.getLogger("supervisor.sweep")
    root.addHandler(rest)
    sweep.addHandler(teller)
    try:
        yield
    finally:
        sweep.removeHandler(teller)
        root.removeHandler(rest)


def open_log(path: str) -> TextIOWrapper:
    """To write at its end; a new one can be read by nobody else. Raise OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return os.fdopen(fd, "a", encoding="utf-8")


class _LogFile(logging.FileHandler):
    def _open(self) -> TextIOWrapper:
        return open_log(self.baseFilename)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in the standard library
        """On a full disk the log goes without."""


class _Teller(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())
