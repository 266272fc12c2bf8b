"""The keeper's one thread: waits for descriptors, timers, signals and the copier."""

import os
import select
import signal
import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf

__all__ = ["Loop", "Timers", "boottime"]

LONGEST_WAIT = 60.0


def boottime() -> float:
    """Seconds since boot, sleep of the machine included: a timeout goes on while the lid is closed."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Timers:
    """One moment for each key."""

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def set(self, key: str, moment: float) -> None:
        """``inf`` means never."""
        if self._moments.get(key, inf) == moment:
            return
        if moment == inf:
            del self._moments[key]
            return
        self._moments[key] = moment
        heappush(self._heap, (moment, key))
        if len(self._heap) > 2 * len(self._moments) + 64:  # most of it is moments that were moved
            self._heap = [(at, name) for name, at in self._moments.items()]
            heapify(self._heap)

    def take_due(self, now: float) -> list[str]:
        """The keys whose moment has come; each is told once."""
        due = []
        while self.next() <= now:
            _, key = heappop(self._heap)
            del self._moments[key]
            due.append(key)
        return due

    def next(self) -> float:
        """The nearest moment, or ``inf``."""
        while self._heap and self._moments.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else inf


class Loop:
    """Calls back for descriptors that can be read or written. Level-triggered; errors count as readable."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Callable[[], None], bool]] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self.watch(self._wake_read, self._drain)

    def watch(self, fd: int, callback: Callable[[], None], *, write: bool = False) -> None:
        """Call ``callback`` while ``fd`` is readable or, with ``write``, writable. Said again, it replaces."""
        known = self._watched.get(fd)
        self._watched[fd] = (callback, write)
        events = select.EPOLLIN | (select.EPOLLOUT if write else 0)
        if known is None:
            self._epoll.register(fd, events)
        elif known[1] != write:
            self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Call it before the descriptor is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def wake(self) -> None:
        """End the current `wait`. For any thread."""
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            return  # so full that it wakes anyway

    def wait(self, seconds: float) -> None:
        """Wait for at most ``seconds`` and make the calls that are due."""
        for fd, _ in self._epoll.poll(max(0.0, min(seconds, LONGEST_WAIT))):
            watched = self._watched.get(fd)
            if watched is not None:
                watched[0]()

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._epoll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _drain(self) -> None:
        try:
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass
        except BlockingIOError:
            return
