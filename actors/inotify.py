"""The kernel's notices about changes of open files: the few inotify calls that the follower needs."""

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from protocols.errors import WatchError

__all__ = ["Change", "Inotify"]

IN_MODIFY = 0x0000_0002
IN_MOVED_FROM = 0x0000_0040
IN_MOVED_TO = 0x0000_0080
IN_CREATE = 0x0000_0100
IN_DELETE = 0x0000_0200
IN_Q_OVERFLOW = 0x0000_4000  # notices were lost, of which files is not known (watch -1)
IN_IGNORED = 0x0000_8000  # this watch is gone
IN_ONESHOT = 0x8000_0000  # one notice, then the watch is gone

_HEADER = struct.Struct("iIII")
_BUFFER = 64 * 1024
_ADVICE = {
    errno.EMFILE: "raise fs.inotify.max_user_instances (sysctl), or the limit of open files (ulimit -n)",
    errno.ENFILE: "raise fs.file-max (sysctl)",
    errno.ENOSPC: "raise fs.inotify.max_user_watches (sysctl)",
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = [ctypes.c_int]
_libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
_libc.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]


class Change(NamedTuple):
    watch: int
    mask: int
    name: bytes = b""
    """Of the entry, where a folder is watched."""


class Inotify:
    """One queue of changes, for `trio.lowlevel.wait_readable`. Raises WatchError if the kernel has none left."""

    def __init__(self) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _watch_error("changes of files cannot be watched")

    def fileno(self) -> int:
        return int(self._fd)

    def watch(self, fd: int, mask: int) -> int:
        """Watch the file that is open as ``fd``, whatever its name is now; return the number of the watch.

        A file has one watch only: asked again, it gets the new mask and keeps its number.
        """
        number = _libc.inotify_add_watch(self._fd, b"/proc/self/fd/%d" % fd, mask)
        if number < 0:
            raise _watch_error("a file cannot be watched")
        return int(number)

    def unwatch(self, number: int) -> None:
        """Do nothing if this watch is gone already."""
        _libc.inotify_rm_watch(self._fd, number)

    def read(self) -> list[Change]:
        """Return all that is queued, in order, without waiting."""
        changes: list[Change] = []
        while True:
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return changes
            at = 0
            while at < len(data):
                watch, mask, _, name_length = _HEADER.unpack_from(data, at)
                name = data[at + _HEADER.size : at + _HEADER.size + name_length].rstrip(b"\0")
                at += _HEADER.size + name_length
                changes.append(Change(watch, mask, name))

    def close(self) -> None:
        """Forget all watches."""
        os.close(self._fd)


def _watch_error(what: str) -> WatchError:
    code = ctypes.get_errno()
    advice = _ADVICE.get(code)
    return WatchError(f"inotify: {what}: {os.strerror(code)}" + (f"; {advice}" if advice else ""))
