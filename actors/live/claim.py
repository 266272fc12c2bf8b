"""A terminal shows one picture at a time: that of whoever came first."""

import fcntl
import os
from dataclasses import dataclass

__all__ = ["Claim", "open_claim"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A lock on the terminal, of which other programs take no notice."""

    _fd: int | None
    """None: the terminal has no name here, as in some containers, so that nobody can ask for it."""

    def take(self) -> bool:
        """Whether it is ours now; it may have been so before."""
        if self._fd is None:
            return True
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def drop(self) -> None:
        """Somebody else may have it."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)


def open_claim(fd: int) -> Claim:
    """A claim on the terminal ``fd``, not yet taken. Once it is, it lasts until it is dropped or this process ends.

    For what is told behind the picture must not be written into that of somebody else.
    """
    try:
        return Claim(os.open(os.ttyname(fd), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return Claim(None)
