"""Which fleet a command means that names none, or a run that was submitted."""

from pathlib import Path

from actors.instance_place import find_run
from protocols.instance_records import split
from protocols.layout import StateFolder
from supervisor.fleets import Fleet, find_fleet, find_fleets
from supervisor.locks import is_locked

__all__ = ["find_main", "find_named", "find_standing", "is_up"]


def is_up(state: Path) -> bool:
    """Whether a ``callboard up`` lives in this state folder, be it about to listen."""
    return is_locked(StateFolder(state).up_lock)


def find_standing(state: Path) -> Fleet | None:
    """The latest run of a ``callboard up``, which may have ended. Raise `StateError`."""
    return next((each for each in find_fleets(state) if each.identity is not None and each.identity.standing), None)


def find_main(state: Path) -> Fleet:
    """That of ``callboard up``, else the run that started last. Raise InputError where nothing ran here."""
    return find_standing(state) or find_fleet(state, None)


def find_named(state: Path, name: str | None) -> Fleet:
    """The run that was submitted under this name, else the one whose id begins so. None: the supervisor's own, where
    one lives, else the run that started last. Raise InputError."""
    if name is None:
        return find_main(state) if is_up(state) else find_fleet(state, None)
    return (_find_submitted(state, name) if name else None) or find_fleet(state, name)


def _find_submitted(state: Path, name: str) -> Fleet | None:
    way, last = split(name)
    fleet = find_standing(state)
    for step in (*way, last):
        run = None if fleet is None or step in {"", ".", ".."} else find_run(fleet.folder.instance(step))
        if fleet is None or run is None:
            return None
        fleet = find_fleet(fleet.folder.instance(step).runs, run)
    return fleet
