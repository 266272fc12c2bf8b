"""Locks between processes: ``flock`` on a small file that holds its owner's pid as text."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["hold_descriptor", "hold_lock", "is_locked", "lock_owner"]

_PAUSE = 0.01


@contextmanager
def hold_lock(path: Path, *, patience: float = 0.5) -> Iterator[bool]:
    """Hold the lock while the context lasts. False: another process holds it.

    A probe (`is_locked`) holds it for microseconds, so ``patience`` must not be 0. The file is
    made where it is missing; raises ``OSError`` where that cannot be done.
    """
    with hold_descriptor(path, patience=patience) as fd:
        yield fd is not None


@contextmanager
def hold_descriptor(path: Path, inherited: int | None = None, *, patience: float = 0.5) -> Iterator[int | None]:
    """The same, with the descriptor that holds the lock, which may be left to the program that we become. None: another
    process holds it. ``inherited``: one that was left to us; it is ours then."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600) if inherited is None else inherited
    try:
        held = _take(fd, patience) and _is_still_there(fd, path)
        if held:
            os.fchmod(fd, 0o600)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        yield fd if held else None
    finally:
        os.close(fd)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock. Takes a shared one for a moment where none does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def lock_owner(path: Path) -> int | None:
    """The pid that the last owner wrote. It says nothing about whether that one still lives."""
    try:
        text = path.read_bytes()[:32].strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _take(fd: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not _try(fd, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still_there(fd: int, path: Path) -> bool:
    """The file may have been removed, with its folder, while we waited."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
