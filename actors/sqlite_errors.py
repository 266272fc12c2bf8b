"""What an error of SQLite means: whether it may pass, and what to do about it."""

import errno
import os
import sqlite3
from pathlib import Path

__all__ = ["hint_for", "passing_error"]

_PASSING = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
}
_HINTS = {
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_IOERR: "see whether its disk is full or broken",
    sqlite3.SQLITE_BUSY: "another program has locked it: end that",
    sqlite3.SQLITE_READONLY: "its file and folder have to be writable",
    sqlite3.SQLITE_CANTOPEN: "its file has to be readable and its folder writable",
}


def passing_error(path: Path, error: sqlite3.Error) -> OSError | None:
    """The same as an ``OSError``, where another try may help."""
    number = _PASSING.get(_code(error))
    return None if number is None else OSError(number, f"{os.strerror(number)} ({error})", str(path))


def hint_for(error: sqlite3.Error, kind: str) -> str:
    """What to do. ``kind`` of file, such as "journal"."""
    if _code(error) == sqlite3.SQLITE_NOTADB:
        return f"move it away: this is no {kind}, or its first page is damaged"
    return _HINTS.get(_code(error), "move it away, or save what is left with: sqlite3 FILE .recover")


def _code(error: sqlite3.Error) -> int:
    """SQLite's result code, extended ones cut to what they are of (https://www.sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
