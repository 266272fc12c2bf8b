"""Which fleet a command means that names no run: that of ``callboard up``, else the run that started last."""

from pathlib import Path

from protocols.layout import StateFolder
from supervisor.fleets import Fleet, find_fleet, find_fleets
from supervisor.locks import is_locked

__all__ = ["find_main", "find_standing", "is_up"]


def is_up(state: Path) -> bool:
    """Whether a ``callboard up`` lives in this state folder, be it about to listen."""
    return is_locked(StateFolder(state).up_lock)


def find_standing(state: Path) -> Fleet | None:
    """The latest run of a ``callboard up``, which may have ended. Raise `StateError`."""
    return next((each for each in find_fleets(state) if each.identity is not None and each.identity.standing), None)


def find_main(state: Path) -> Fleet:
    """Raise InputError where nothing ran here."""
    return find_standing(state) or find_fleet(state, None)
