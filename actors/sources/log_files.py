"""Log files that are open: each once, however many follow it, and by whatever path."""

import os
import stat
from dataclasses import dataclass, field
from typing import TypeAlias

from protocols.errors import SpawnError
from protocols.wording import quote

__all__ = ["LogFile", "LogFiles"]

Identity: TypeAlias = tuple[int, int]
"""Device and inode: they name a file as long as somebody has it open."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


@dataclass(slots=True, eq=False)
class LogFile:
    """One open file, for reading."""

    fd: int
    identity: Identity
    users: int = 0


@dataclass(slots=True)
class LogFiles:
    """Belongs to one thread at a time."""

    _open: dict[Identity, LogFile] = field(default_factory=dict)

    def take(self, path: str) -> LogFile:
        """What bears this name now; to be given to `release`.

        Raise SpawnError for what is no file, FileNotFoundError where there is none, else ``OSError``.
        """
        found = self._open.get(_identity(os.stat(path), path))  # noqa: PTH116 - an open FIFO would be a reader of it
        if found is None:
            found = self._add(path)
        found.users += 1
        return found

    def release(self, file: LogFile) -> None:
        file.users -= 1
        if not file.users:
            del self._open[file.identity]
            os.close(file.fd)

    def _add(self, path: str) -> LogFile:
        fd = os.open(path, _FLAGS)
        try:
            identity = _identity(os.fstat(fd), path)  # another one may have taken its place just now
        except SpawnError:
            os.close(fd)
            raise
        if identity in self._open:
            os.close(fd)
        return self._open.setdefault(identity, LogFile(fd, identity))


def _identity(found: os.stat_result, path: str) -> Identity:
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no file but a pipe, a socket or a device"
        raise SpawnError(f"logfile {quote(path)} is {what}; name a file", "EINVAL")
    return found.st_dev, found.st_ino
