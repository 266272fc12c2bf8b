"""Wakes those who follow log files when one grows, and counts how often something gets the name of one."""

import logging
import os
from dataclasses import dataclass, field

import trio

from actors.inotify import (
    IN_CREATE,
    IN_DELETE,
    IN_IGNORED,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONESHOT,
    IN_Q_OVERFLOW,
    Change,
    Inotify,
)
from protocols.errors import WatchError

__all__ = ["LogWatch", "Waker"]

logger = logging.getLogger(__name__)

_APPEARS = IN_CREATE | IN_MOVED_TO


@dataclass(slots=True, eq=False)
class Waker:
    """One who follows. Somebody has to look from time to time all the same: not every file system tells."""

    path: str
    appeared: int = 0
    """How often something got this name, as far as the kernel told."""
    event: trio.Event = field(default_factory=trio.Event)
    folder: int | None = None
    """The number of the watch of the folder, while there is one."""

    def wake(self) -> None:
        self.event.set()

    async def wait(self, seconds: float) -> None:
        """Until something happens, or so long."""
        with trio.move_on_after(seconds):  # either way it is time to look
            await self.event.wait()
        self.event = trio.Event()


@dataclass(slots=True)
class LogWatch:
    """Without inotify (its limits are reached) nobody is woken, and this is logged."""

    _inotify: Inotify | None = None
    _growing: dict[int, set[Waker]] = field(default_factory=dict)
    _names: dict[int, dict[bytes, set[Waker]]] = field(default_factory=dict)
    _told: bool = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until it is cancelled."""
        try:
            self._inotify = Inotify()
        except WatchError as error:
            self._tell(error)
        task_status.started()
        if self._inotify is None:
            return
        try:
            while True:
                await trio.lowlevel.wait_readable(self._inotify.fileno())
                for change in self._inotify.read():
                    self._take(change)
        finally:
            self._inotify.close()
            self._inotify = None

    def watch_name(self, waker: Waker) -> None:
        """Does nothing where it is watched already, or has no folder yet."""
        if waker.folder is not None or self._inotify is None:
            return
        folder, name = os.path.split(waker.path)
        try:
            fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            waker.folder = self._inotify.watch(fd, _APPEARS | IN_MOVED_FROM | IN_DELETE)
        except WatchError as error:
            self._tell(error)
            return
        finally:
            os.close(fd)
        self._names.setdefault(waker.folder, {}).setdefault(os.fsencode(name), set()).add(waker)

    def watch_file(self, fd: int, waker: Waker) -> None:
        """Wake at the next change of this file."""
        if self._inotify is None:
            return
        try:
            number = self._inotify.watch(fd, IN_MODIFY | IN_ONESHOT)
        except WatchError as error:
            self._tell(error)
            return
        self._growing.setdefault(number, set()).add(waker)

    def forget(self, waker: Waker) -> None:
        for number, wakers in list(self._growing.items()):
            wakers.discard(waker)
            if not wakers:
                self._unwatch(number)
                del self._growing[number]
        if waker.folder is None:
            return
        names = self._names.get(waker.folder, {})
        name = os.fsencode(os.path.basename(waker.path))  # noqa: PTH119 - no other part of it is wanted
        names.get(name, set()).discard(waker)
        if not names.get(name):
            names.pop(name, None)
        if not names and self._names.pop(waker.folder, None) is not None:
            self._unwatch(waker.folder)

    def _take(self, change: Change) -> None:
        if change.mask & IN_Q_OVERFLOW:
            for names in self._names.values():
                for wakers in names.values():
                    _appear(wakers, unseen=True)
        elif change.watch in self._names:
            if change.mask & IN_IGNORED:  # the folder is gone
                for wakers in self._names.pop(change.watch).values():
                    for waker in wakers:
                        waker.folder = None
                        waker.wake()
                return
            _appear(self._names[change.watch].get(change.name, set()), unseen=bool(change.mask & _APPEARS))
        else:
            for waker in self._growing.pop(change.watch, set()):
                waker.wake()

    def _unwatch(self, number: int) -> None:
        if self._inotify is not None:
            self._inotify.unwatch(number)

    def _tell(self, error: WatchError) -> None:
        if not self._told:
            logger.warning("%s; until then log files are looked at once a second", error)
            self._told = True


def _appear(wakers: set[Waker], *, unseen: bool) -> None:
    for waker in wakers:
        waker.appeared += unseen
        waker.wake()
