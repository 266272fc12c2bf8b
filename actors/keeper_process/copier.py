"""Copies what workers write, from their pipes and terminals to their spool files, in a thread of its own."""

import fcntl
import os
import select
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeAlias

from actors.keeper_process.allowance import Allowance
from actors.keeper_process.pacer import Pacer
from actors.keeper_process.terminal import TerminalEnd

__all__ = ["Blocked", "Copier", "Eof", "Resumed", "open_spool"]

Key: TypeAlias = tuple[str, str]
"""Attempt and stream."""

_RETRY_AFTER = 1.0
# A pipe that is found full gets four times the room: fewer turns for the same bytes (1.8 -> 2.1 GB/s, 0.50 -> 0.40 CPU
# s/GB). Only a few of them: beyond 16,384 pages for each user the kernel makes every new pipe tiny.
_FULL = 64 * 1024
_WIDE = 4 * _FULL
_WIDE_PIPES = 16
_CHUNK = 1024 * 1024  # more than a pipe holds unless it was made larger: one splice empties it


class Eof(NamedTuple):
    """All that the pipe or terminal ever held is in the file, which has ``size`` bytes."""

    key: Key
    size: int


class Blocked(NamedTuple):
    """The file takes no more. The bytes stay where they are."""

    key: Key
    error: str
    retried: bool = True
    """Each second. Not so where the allowance is used up."""


class Resumed(NamedTuple):
    key: Key


Report: TypeAlias = Eof | Blocked | Resumed


class _PipeEnd:
    """What the copier takes from a pipe; the same as `TerminalEnd` for one."""

    pending = 0
    widens = True
    weight = 1

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def held(self) -> int:
        found: int = struct.unpack("i", fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4)))[0]
        return found

    def move(self, spool: int, limit: int) -> int:
        return os.splice(self.fd, spool, limit, flags=os.SPLICE_F_NONBLOCK)

    def close(self) -> None:
        os.close(self.fd)


class _Stream:
    __slots__ = ("allowance", "blocked", "end", "finishing", "key", "paused", "size", "spool", "wide")

    def __init__(self, key: Key, end: _PipeEnd | TerminalEnd, spool: int, allowance: Allowance) -> None:
        self.key = key
        self.end = end
        self.spool = spool
        self.size = os.lseek(spool, 0, os.SEEK_CUR)
        self.allowance = allowance
        self.blocked = False
        self.paused = False
        self.finishing = False
        self.wide = False


def open_spool(path: str) -> int:
    """Open a spool file at its end, mode 0600, and return its descriptor. Raise ``OSError``."""
    # Not O_APPEND: splice refuses it.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.lseek(fd, 0, os.SEEK_END)
    return fd


class Copier:
    """One thread for all of them, so that a slow disk delays nothing else.

    ``splice`` moves bytes inside the kernel. We never hold any: when we are killed, what is not in the file is
    still in the pipe or terminal, for whoever else has it open. ``report`` is called in the thread.
    """

    def __init__(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._thread = threading.Thread(target=self._run, name="copier", daemon=True)
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._streams: dict[int, _Stream] = {}
        self._by_key: dict[Key, _Stream] = {}
        self._wide = 0
        self._retry_at: float | None = None
        self._running = True

    def start(self) -> None:
        self._thread.start()

    def add(self, key: Key, ends: tuple[int, ...], spool_fd: int, allowance: Allowance | None = None) -> None:
        """Copy until all writers are gone, then report `Eof`. All descriptors are ours from now on.

        ``ends``: the read end of a pipe, or what `TerminalEnd` takes. ``allowance``: one object for all streams that
        it covers, which stop there until they are to be finished; without it there is no limit.
        """
        end = _PipeEnd(*ends) if len(ends) == 1 else TerminalEnd(*ends)
        self._call(partial(self._add, _Stream(key, end, spool_fd, allowance or Allowance())))

    def finish(self, key: Key) -> None:
        """Copy what is there now, then end the stream although somebody may still write to it.

        Does nothing for a stream that has ended. While the disk is full, `Eof` has to wait.
        """
        self._call(partial(self._finish, key))

    def close(self) -> None:
        """End the thread. What is not copied yet stays where it is; nothing else may be called afterwards."""
        if self._epoll.closed:
            return
        self._call(self._stop)
        self._thread.join()
        self._epoll.close()
        os.close(self._wake)

    def _call(self, function: Callable[[], None]) -> None:
        self._calls.append(function)
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        pacer = Pacer()
        while self._running:
            copied = 0
            for fd, _ in self._epoll.poll(self._patience()):
                if fd == self._wake:
                    self._take_calls()
                elif fd in self._streams:  # else a call that came with this event ended it
                    copied += self._copy(self._streams[fd])
            self._retry()
            if copied and (pause := pacer.pause(time.monotonic(), copied)):
                time.sleep(pause)
        for stream in self._streams.values():
            stream.end.close()
            os.close(stream.spool)

    def _patience(self) -> float | None:
        return None if self._retry_at is None else max(self._retry_at - time.monotonic(), 0.0)

    def _take_calls(self) -> None:
        os.eventfd_read(self._wake)
        while self._calls:
            self._calls.popleft()()

    def _stop(self) -> None:
        self._running = False

    def _add(self, stream: _Stream) -> None:
        self._streams[stream.end.fd] = self._by_key[stream.key] = stream
        stream.allowance.use(stream.size)
        self._epoll.register(stream.end.fd, select.EPOLLIN)
        if stream.end.pending:
            self._copy(stream)

    def _finish(self, key: Key) -> None:
        if stream := self._by_key.get(key):
            stream.finishing = True
            if stream.paused:
                stream.paused = False
                self._epoll.register(stream.end.fd, select.EPOLLIN)
            self._copy_rest(stream)

    def _copy(self, stream: _Stream) -> int:
        """Copy what is there. Return the number of bytes as the pacer is to count them."""
        room = stream.allowance.room(_CHUNK)
        if not room and stream.end.held():
            self._pause(stream)
            return 0
        count = self._splice(stream, room or _CHUNK)  # nothing is there but the end
        if count == 0:
            self._end(stream)
        elif count is not None and count >= _FULL and not stream.wide and self._wide < _WIDE_PIPES:
            self._widen(stream)
        return (count or 0) * stream.end.weight

    def _widen(self, stream: _Stream) -> None:
        if not stream.end.widens:
            return
        stream.wide = True
        self._wide += 1
        with suppress(OSError):  # the user's pipes are too large together already: it stays as it is
            fcntl.fcntl(stream.end.fd, fcntl.F_SETPIPE_SZ, _WIDE)

    def _copy_rest(self, stream: _Stream) -> None:
        """Copy what is there now and end, or leave the stream blocked."""
        held = stream.end.held()
        while held > 0 or stream.end.pending:
            count = self._splice(stream, held)
            if stream.blocked:
                return
            if not count:
                break
            held -= count
        self._end(stream)

    def _splice(self, stream: _Stream, limit: int) -> int | None:
        """Return the number of bytes moved, 0 when all writers are gone, None when there is nothing to do now."""
        count: int | None = None
        try:
            count = stream.end.move(stream.spool, limit)
        except BlockingIOError:
            pass
        except OSError as error:
            self._block(stream, error)
            return None
        if stream.blocked:
            self._unblock(stream)
        stream.size += count or 0
        stream.allowance.use(count or 0)
        return count

    def _pause(self, stream: _Stream) -> None:
        """Leave what is there where it is, until the stream is to be finished."""
        if stream.blocked:
            stream.blocked = False  # the disk may have room again, but that is not what it waits for
        else:
            self._epoll.unregister(stream.end.fd)
        stream.paused = True
        self._report(Blocked(stream.key, str(stream.allowance), retried=False))

    def _block(self, stream: _Stream, error: OSError) -> None:
        if self._retry_at is None:
            self._retry_at = time.monotonic() + _RETRY_AFTER
        if not stream.blocked:
            stream.blocked = True
            self._epoll.unregister(stream.end.fd)
            self._report(Blocked(stream.key, str(error.strerror)))

    def _unblock(self, stream: _Stream) -> None:
        stream.blocked = False
        self._epoll.register(stream.end.fd, select.EPOLLIN)
        self._report(Resumed(stream.key))

    def _retry(self) -> None:
        if self._retry_at is None or time.monotonic() < self._retry_at:
            return
        self._retry_at = None
        for stream in [stream for stream in self._streams.values() if stream.blocked]:
            if stream.finishing:
                self._copy_rest(stream)
            else:
                self._copy(stream)

    def _end(self, stream: _Stream) -> None:
        del self._streams[stream.end.fd], self._by_key[stream.key]
        self._wide -= stream.wide
        if not stream.blocked:
            self._epoll.unregister(stream.end.fd)
        stream.end.close()
        try:
            os.close(stream.spool)
        except OSError as error:  # network file systems tell a failed write only now
            self._report(Blocked(stream.key, str(error.strerror)))
        self._report(Eof(stream.key, stream.size))
