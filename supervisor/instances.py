"""A callboard that another one has started: what it may do, and with which run it goes on."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from protocols.errors import InputError, StateError
from protocols.instances import HANDOVER, Bounds, Handover, fits
from protocols.layout import FleetFolder
from supervisor.fleets import Fleet, find_fleets
from supervisor.locks import is_locked
from supervisor.output import Output
from supervisor.resuming import resume_run
from supervisor.runner import run_plan
from supervisor.settings import Settings
from supervisor.sweep import find_end

__all__ = ["read_handover", "run_instance"]


def run_instance(path: Path, settings: Settings, *, output: Output | None, show_output: bool) -> int:
    """Run the plan of an instance, or go on with the run that it has not ended. Return the exit code.

    Raise InputError or StateError before anything has started.
    """
    handover = read_handover(os.environ)
    settings = msgspec.structs.replace(settings, state=Path(handover.runs))
    left = _find_unfinished(settings.state, path if handover.given else None)
    if left is None:
        return run_plan(path, settings, output=output, show_output=show_output, handover=handover)
    return resume_run(left.name, settings, output=output, show_output=show_output, handover=handover)


def read_handover(environ: Mapping[str, str]) -> Handover:
    """What we were told by the callboard that started us. Raise `StateError` where that is not what it may be."""
    path = Path(environ[HANDOVER])
    handover = _read(path)
    parent = FleetFolder(Path(handover.parent))
    if path.parent != parent.root / "instances" / path.parent.name or Path(handover.runs) != path.parent / "runs":
        raise StateError(f"{path}: is not that of an instance of {parent.root}; leave {HANDOVER} alone")
    above = parent.root.parent.parent / path.name
    outer = _read(above).bounds if above.exists() else Bounds()
    if not fits(handover.bounds, outer):
        raise StateError(f"{path}: allows more than the callboard that wrote it may itself; leave it alone")
    if not handover.durable and not is_locked(parent.lock):
        raise StateError(f"{path}: who wrote it is gone; go on with: callboard resume {parent.root.name}")
    return handover


def _read(path: Path) -> Handover:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StateError(f"{path}: is not a file of yours that only you can read; leave {HANDOVER} alone")
        return msgspec.json.decode(path.read_bytes(), type=Handover)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}; {HANDOVER} names it, which only callboard sets") from error
    except msgspec.DecodeError as error:
        raise StateError(f"{path}: {error}; it was written by another version of callboard") from error


def _find_unfinished(state: Path, given: Path | None) -> Fleet | None:
    """The latest run, if it has no end. ``given``: a plan that may be another one now, which is begun anew."""
    fleets = find_fleets(state)
    if not fleets or fleets[0].identity is None or find_end(fleets[0]) is not None:
        return None
    try:
        kept = fleets[0].folder.plan.read_bytes()
        if given is not None and given.read_bytes() != kept:
            return None
    except OSError as error:
        if error.filename != str(given):
            return None  # it was killed before it had a plan
        raise InputError(f"{given}: {error.strerror}") from error
    return fleets[0]
