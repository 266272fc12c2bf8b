"""The token of the admin in the state folder: made once, and a secret of its user."""

import os
import re
import secrets
import stat
from pathlib import Path

from protocols.errors import StateError

__all__ = ["load_token"]

_TOKEN = re.compile(rb"[A-Za-z0-9_-]{32,200}\n?")
_AGAIN = "remove it, and callboard up makes a new one"


def load_token(path: Path) -> str:
    """What is in the file, which is made where there is none. Raise `StateError` where it is no secret of ours."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        raise StateError(f"{path}: it cannot be made: {error.strerror}") from error
    token = secrets.token_urlsafe(32)
    with open(fd, "wb") as file:  # noqa: PTH123 - it is open
        os.fchmod(fd, 0o600)
        file.write(f"{token}\n".encode())
        file.flush()
        os.fsync(fd)
    return token


def _read(path: Path) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}; {_AGAIN}") from error
    with open(fd, "rb") as file:  # noqa: PTH123 - it is open
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StateError(f"{path}: it is not a file that only you can read; {_AGAIN}")
        text = file.read(256)
    if _TOKEN.fullmatch(text) is None:
        raise StateError(f"{path}: that is no token; {_AGAIN}")
    return text.decode().strip()
