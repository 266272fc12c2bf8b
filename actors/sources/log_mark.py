"""Which file the end of a spool was copied from, and from which place on: what it takes to go on later."""

import os
from typing import NamedTuple

import msgspec

from actors.sources.log_files import LogFile

__all__ = ["LogMark", "read_mark", "write_mark"]


class LogMark(msgspec.Struct, frozen=True):
    """From ``spool`` on, the spool holds what the file holds from ``start`` on."""

    device: int
    inode: int
    start: int
    spool: int

    def is_of(self, file: LogFile) -> bool:
        return file.identity == (self.device, self.inode)

    def place(self, spooled: int) -> int:
        """In the file, for a spool that has so many bytes."""
        return self.start + max(spooled - self.spool, 0)


class _Paths(NamedTuple):
    mark: str
    new: str


def write_mark(spool: str, mark: LogMark) -> None:
    """Beside the spool file, before the first byte behind it is copied. Raise ``OSError``."""
    paths = _beside(spool)
    fd = os.open(paths.new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, msgspec.json.encode(mark) + b"\n")
    finally:
        os.close(fd)
    os.replace(paths.new, paths.mark)  # noqa: PTH105 - paths are text here


def read_mark(spool: str) -> LogMark | None:
    """None: no file was there to be copied from, or what is there is none of ours."""
    try:
        with open(_beside(spool).mark, "rb") as file:  # noqa: PTH123 - paths are text here
            return msgspec.json.decode(file.read(), type=LogMark)
    except (OSError, ValueError):
        return None


def _beside(spool: str) -> _Paths:
    return _Paths(f"{spool}.origin", f"{spool}.origin.new")
