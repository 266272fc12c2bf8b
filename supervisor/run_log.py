"""Where the log lines of a run go: to a file of its folder, and those that cannot wait to whoever looks on."""

import logging
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import TextIOWrapper

import trio

from actors.display import write_all
from protocols.layout import FleetFolder

__all__ = ["Warnings", "log_to", "warn"]

_HELD = 20
_STDERR = 2


def warn(text: str) -> None:
    """Tell it on standard error, unless nobody reads that."""
    if select.select([], [_STDERR], [], 0)[1]:
        write_all(_STDERR, f"warning: {text}\n".encode(), wait=False)


@dataclass(slots=True)
class Warnings:
    """Warnings while a picture is shown: it shows them too, for on the terminal they would be written into it."""

    outbox: trio.MemorySendChannel[str]
    held: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """To be called on trio's thread."""
        with suppress(trio.WouldBlock, trio.BrokenResourceError):  # there is enough to read, or the picture is gone
            self.outbox.send_nowait(text)
        if not os.isatty(_STDERR):
            warn(text)
        elif len(self.held) < _HELD:
            self.held.append(text)

    def release(self) -> None:
        """The picture is gone: what was held is told now."""
        for text in self.held:
            warn(text)
        self.held.clear()


@contextmanager
def log_to(folder: FleetFolder, warnings: Warnings | None = None) -> Iterator[None]:
    """Log to the folder's file. That the journal cannot be written is told at once: no record can tell it."""
    file, teller = _LogFile(folder.log, delay=True), _Teller(warnings)
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


class _LogFile(logging.FileHandler):
    def _open(self) -> TextIOWrapper:
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(fd, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in the standard library
        """On a full disk the log goes without."""


class _Teller(logging.Handler):
    def __init__(self, warnings: Warnings | None) -> None:
        super().__init__()
        self._tell = warn if warnings is None else warnings.tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())
