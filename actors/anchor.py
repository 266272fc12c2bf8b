"""Notices that a file was cut under its reader, even where it has grown past its old size since."""

import os
from dataclasses import dataclass

__all__ = ["Anchor"]

_KEPT = 64  # bytes; text that repeats itself over so many, and is cut at such a place, deceives us


@dataclass(frozen=True, slots=True)
class Anchor:
    """How far a file was read, and the bytes in front of that place: while they are there, nothing was cut."""

    at: int = 0
    before: bytes = b""
    """As many as are known, 64 at most."""
    lost: bool = False
    """It was cut while it was looked at."""

    @classmethod
    def on(cls, fd: int, at: int) -> "Anchor":
        """At this place of an open file. Raise ``OSError``."""
        kept = min(at, _KEPT)
        before = os.pread(fd, kept, at - kept)
        return cls(at, before, len(before) < kept)

    def holds(self, fd: int) -> bool:
        """False where less is there than was read, or something else. Raise ``OSError``."""
        if self.lost or os.fstat(fd).st_size < self.at:
            return False
        return os.pread(fd, len(self.before), self.at - len(self.before)) == self.before

    def behind(self, data: bytes) -> "Anchor":
        """The place behind these bytes, which are next in the file."""
        return Anchor(self.at + len(data), (self.before + data[-_KEPT:])[-_KEPT:])
