"""What the terminals of many workers show: their spool files, followed within bounds of memory and of time."""

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Generic, NamedTuple, Protocol, TypeVar

from protocols.painting import Painting
from protocols.prompts import Shown
from protocols.terminal_text import find_fresh_start

__all__ = ["SETTLED_AFTER", "Screens", "View", "can_read_screens", "open_emulator"]

Key = TypeVar("Key", bound=Hashable)

SETTLED_AFTER = 0.3  # seconds without a change: who paints a screen is done with it
_FAR = 128 * 1024  # bytes; who has poured more since the last look has scrolled away what was before
_PART = 4096
_CELLS = 300_000  # of all screens together: 62 of 120x40, some 20 MB where each is full
_SHARE = 0.05  # of the time that passes is what reading may take
_LEAST, _MOST = 0.02, 0.3  # seconds, in one round
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY


class Emulator(Protocol):
    """A terminal in memory; `actors.emulator` has the real one."""

    def feed(self, data: bytes) -> None: ...

    def shown(self) -> Shown: ...


class View(NamedTuple):
    """One look at a screen."""

    shown: Shown
    settled: bool
    """Nothing has changed for `SETTLED_AFTER`, or all that changed was shown before: a spinner turns."""
    grown: bool
    """There are bytes that were not there at the look before."""
    new: bool
    """Some of it was not shown before, as far as that can be told."""


def can_read_screens() -> bool:
    """Whether the extra ``term`` is installed. Imports nothing of it."""
    return find_spec("pyte") is not None


def open_emulator(columns: int, rows: int) -> Emulator:
    """Raise ImportError where the extra ``term`` is not installed."""
    from actors.emulator import Emulator  # noqa: PLC0415 - it takes a megabyte, and few need it

    return Emulator(columns, rows)


@dataclass(slots=True)
class _Terminal:
    attempt: int
    window: tuple[int, int]
    emulator: Emulator
    painting: Painting = field(default_factory=Painting)
    offset: int = 0
    """How much of its file was read."""
    skipped: bool = False
    """Some of it was left out since the last view."""
    view: View | None = None

    @property
    def cells(self) -> int:
        return self.window[0] * self.window[1]


@dataclass(slots=True)
class Screens(Generic[Key]):
    """One thread at a time. Each round of looks begins with `begin`."""

    far: int = _FAR
    """Of more bytes at once only these, the last ones, are read."""
    clock: Callable[[], float] = time.monotonic
    spent: Callable[[], float] = time.thread_time
    now: Callable[[], float] = time.time
    """Which the times of files are compared with."""
    _terminals: OrderedDict[Key, _Terminal] = field(default_factory=OrderedDict, init=False)
    """Who was read longest ago first."""
    _begun_at: float | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)

    def begin(self) -> None:
        """A new round, in which reading takes a twentieth of the time since the last one at most."""
        now = self.clock()
        passed = 0.0 if self._begun_at is None else now - self._begun_at
        self._begun_at = now
        self._until = self.spent() + min(max(passed * _SHARE, _LEAST), _MOST)

    def in_turn(self, keys: Iterable[Key]) -> list[Key]:
        """These keys, who was read longest ago first; others are forgotten. The time of a round may not do for all."""
        wanted = dict.fromkeys(keys)
        for key in self._terminals.keys() - wanted.keys():
            del self._terminals[key]
        known = [key for key in self._terminals if key in wanted]
        return [*(key for key in wanted if key not in self._terminals), *known]

    def look(self, key: Key, attempt: int, path: str, window: tuple[int, int]) -> View | None:
        """What the terminal of this attempt shows, whose bytes lie at ``path``.

        None where that is not known: it could not be read to the end in this round, or its window is too large.
        """
        terminal = self._terminals.get(key)
        if terminal is None or (terminal.attempt, terminal.window) != (attempt, window):
            if window[0] * window[1] > _CELLS:
                return None
            spent = self.spent()
            terminal = self._terminals[key] = _Terminal(attempt, window, open_emulator(*window))
            self._until += self.spent() - spent  # the library may have been loaded only now
            self._evict(key)
        try:
            fd = os.open(path, _FLAGS)
        except OSError:
            return None
        try:
            return self._look(key, terminal, fd)
        except OSError:
            return None
        finally:
            os.close(fd)

    def _look(self, key: Key, terminal: _Terminal, fd: int) -> View | None:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        grown = status.st_size > terminal.offset
        if grown:
            self._terminals.move_to_end(key)
            if not self._read(terminal, fd, status.st_size):
                return None
        still = abs(self.now() - status.st_mtime) >= SETTLED_AFTER
        before = terminal.view
        if not grown and before is not None and (before.settled or not still):
            terminal.view = before._replace(grown=False, new=False)
            return terminal.view
        shown = terminal.emulator.shown()
        new = terminal.painting.is_new(shown.rows) or terminal.skipped if grown else False
        terminal.skipped = False
        terminal.view = View(shown, still or not new, grown, new)
        return terminal.view

    def _read(self, terminal: _Terminal, fd: int, size: int) -> bool:
        """False where the time is over before its end."""
        if size - terminal.offset > self.far:
            terminal.emulator = open_emulator(*terminal.window)
            data = os.pread(fd, self.far, size - self.far)
            terminal.offset = size - self.far + find_fresh_start(data)
            terminal.skipped = True
        while terminal.offset < size:
            if self.spent() >= self._until:
                return False
            data = os.pread(fd, min(_PART, size - terminal.offset), terminal.offset)
            if not data:
                return True  # somebody cut it
            terminal.emulator.feed(data)
            terminal.offset += len(data)
        return True

    def _evict(self, kept: Key) -> None:
        """Screens of those that were quiet for longest are made again when they are looked at."""
        total = sum(terminal.cells for terminal in self._terminals.values())
        for key in list(self._terminals):
            if total <= _CELLS:
                return
            if key != kept:
                total -= self._terminals.pop(key).cells
