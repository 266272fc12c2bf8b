"""A supervisor that becomes its own successor: the same process, a fresh program, what it held in its hands."""

import os
import sys
from typing import NoReturn

import msgspec

from protocols.errors import FleetError, InputError

__all__ = ["Inheritance", "become_anew", "take_inheritance"]

_INHERITANCE = "CALLBOARD_INHERITANCE"  # for nobody but the program that we become


class Inheritance(msgspec.Struct, frozen=True, kw_only=True):
    """Descriptors that stay open. It is read leniently: another version may have written it."""

    lock: int
    """Holds the lock of the state folder, all the time."""
    listeners: tuple[int, ...] = ()
    """Clients that come meanwhile wait there."""
    detached: bool = False
    """Nobody reads what we print."""


def become_anew(inheritance: Inheritance) -> NoReturn:
    """Run our own command line again in this process. No thread and no actor of ours may be at work.

    Raise FleetError where that cannot be done; nothing has changed then.
    """
    held = (inheritance.lock, *inheritance.listeners)
    os.environ[_INHERITANCE] = msgspec.json.encode(inheritance).decode()
    try:
        for fd in held:
            os.set_inheritable(fd, True)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line
    except OSError as error:
        del os.environ[_INHERITANCE]
        for fd in held:
            os.set_inheritable(fd, False)
        raise FleetError(
            f"{sys.executable}: {error.strerror}; callboard cannot start anew, its workers go on: callboard up"
        ) from error


def take_inheritance() -> Inheritance | None:
    """What we left to ourselves, once; whom we start gets nothing of it. None: we were started as any program is."""
    text = os.environ.pop(_INHERITANCE, "")
    try:
        found = msgspec.json.decode(text, type=Inheritance) if text else None
        for fd in () if found is None else (found.lock, *found.listeners):
            os.set_inheritable(fd, False)
    except (msgspec.DecodeError, OSError) as error:
        raise InputError(f"{_INHERITANCE}: {error}; only callboard sets it, unset it") from error
    return found
