"""``STATE/token``: who has it may do everything at the port."""

import os
import secrets
import stat

from protocols.errors import StateError
from protocols.layout import StateFolder
from supervisor.state import state_error

__all__ = ["find_token"]

_LONGEST = 256


def find_token(state: StateFolder) -> str:
    """The token of this state folder, made with mode 0600 where there is none yet.

    Raise `StateError` where it is a link, somebody else's, readable for others, or no token.
    """
    path = state.token
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _read(state)
    except OSError as error:
        raise state_error(path, error) from error
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(token := secrets.token_urlsafe(32))
    return token


def _read(state: StateFolder) -> str:
    path = state.token
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise StateError(f"{path}: it is no file of ours ({error.strerror}); remove it, a new one is made") from error
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StateError(f"{path}: others could have read or written it; remove it, a new one is made")
        text = file.read(_LONGEST + 1).strip().decode("latin-1")
    if not (text.isascii() and text.isprintable() and 16 <= len(text) <= _LONGEST) or "." in text:
        raise StateError(f"{path}: there is no token in it; remove it, a new one is made")
    return text
