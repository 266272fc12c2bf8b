"""A terminal shows one picture at a time: that of whoever came first."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def open_claim(fd: int) -> Iterator[Claim]:
    """A claim on the terminal ``fd``, not yet taken; dropped at the end."""
    try:
        own = os.open(os.ttyname(fd), os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield Claim(None)
        return
    try:
        yield Claim(own)
    finally:
        os.close(own)
