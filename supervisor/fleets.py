"""The folders of fleets: made whole or not at all, found again by id, told alive from dead by a lock."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from actors.files import make_folder, replace_file
from actors.keeper_process.procfs import read_process
from protocols.errors import InputError, StateError
from protocols.ids import RunId
from protocols.layout import FleetFolder
from supervisor.identity import Durable, Identity, identify, is_run_name, succeed
from supervisor.locks import hold_lock, is_locked, lock_owner
from supervisor.state import check_state, state_error

__all__ = [
    "Fleet",
    "NewFleet",
    "create_fleet",
    "find_fleet",
    "find_fleets",
    "lock_fleet",
    "parent_of",
    "take_fleet",
    "tell_detached",
]

_SHOWN = 8  # candidates that an error names


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet as it was found on disk; ``identity`` is None where ``problem`` says what is damaged."""

    folder: FleetFolder
    identity: Identity | None
    problem: str
    started_at: float
    """Unix time; of a damaged one the time of its folder."""

    @property
    def name(self) -> RunId:
        return RunId(self.folder.root.name)

    def is_alive(self) -> bool:
        """Whether its supervisor lives: it holds the lock and, where we can see it, its process is there.

        A callboard that concludes a dead fleet holds the lock as well; the second witness tells the two apart.
        """
        return is_locked(self.folder.lock) and self.process_lives() is not False

    def process_lives(self) -> bool | None:
        """Whether the very process of its supervisor is there; None where only the lock can tell.

        That is so in another pid namespace, and of our own process, which has or has not ended the run.
        """
        if self.identity is None or not self.identity.is_local():
            return None
        process = read_process(self.identity.pid)
        if process is None or process.start_ticks != self.identity.start_ticks:
            return False
        return None if process.pid == os.getpid() else process.alive

    def is_detached(self) -> bool:
        """Whether it may be taken up again: its supervisor is gone, and its workers need not be.

        That its run has not ended is another question.
        """
        return self.identity is not None and self.identity.durable != "none" and not self.is_alive()

    def keeper_lives(self) -> bool:
        return is_locked(self.folder.keeper_lock)

    def owner(self) -> int | None:
        """The pid of whoever holds the lock."""
        return lock_owner(self.folder.lock) if is_locked(self.folder.lock) else None

    def is_original(self) -> bool:
        """Whether this folder is the one that its fleet was started with, and no copy of it."""
        return self.identity is not None and self.folder.root.stat().st_ino == self.identity.inode


@dataclass(frozen=True, slots=True)
class NewFleet:
    """A fleet of this process."""

    folder: FleetFolder
    identity: Identity


@contextmanager
def create_fleet(
    state: Path,
    *,
    plan: str,
    cwd: str,
    version: str,
    durable: Durable = "none",
    standing: bool = False,
    now: Callable[[], float] = time.time,
) -> Iterator[NewFleet]:
    """Make the folder of a new fleet in an opened state folder, and hold its lock while the context lasts.

    The folder appears at once with all that makes it a fleet, the lock held. Raise `StateError`
    where that cannot be done; nothing of it is left then.
    """
    with ExitStack() as held:
        fresh = state / f".new-{secrets.token_hex(8)}"
        try:
            make_folder(fresh)
            held.callback(shutil.rmtree, fresh, ignore_errors=True)  # for what fails: later it has another name
            held.enter_context(hold_lock(fresh / "lock"))
            identity = identify(fresh, plan, cwd, version, now(), durable, standing=standing)
            _write(FleetFolder(fresh), identity)
            root = fresh.rename(state / identity.run)
        except OSError as exc:
            raise state_error(state, exc) from exc
        yield NewFleet(FleetFolder(root), identity)


@contextmanager
def lock_fleet(fleet: Fleet) -> Iterator[Fleet | None]:
    """Hold the lock of a fleet that has no supervisor while the context lasts, and look at it once more.

    None: another process holds it. Raise `StateError` where it is gone or cannot be locked.
    """
    with ExitStack() as held:
        try:
            taken = held.enter_context(hold_lock(fleet.folder.lock))
        except OSError as exc:
            raise state_error(fleet.folder.root, exc) from exc
        found = _read(fleet.folder.root)
        if found is None:
            raise StateError(f"{fleet.folder.root}: it was removed meanwhile")
        yield found if taken else None


def take_fleet(locked: Fleet, version: str) -> NewFleet:
    """Become the supervisor of a fleet whose lock we hold.

    Raise `StateError` where it is damaged, or its folder cannot be written; nothing has changed then.
    """
    if locked.identity is None:
        raise StateError(f"{locked.folder.root}: damaged: {locked.problem}")
    identity = succeed(locked.identity, version)
    try:
        _write(locked.folder, identity)
    except OSError as exc:
        raise state_error(locked.folder.root, exc) from exc
    return NewFleet(locked.folder, identity)


def find_fleets(state: Path) -> list[Fleet]:
    """All fleets of a state folder, the one that started last first; damaged ones too.

    Raise `StateError` where it is no folder of ours; where there is none, there are no fleets.
    """
    found = check_state(state)
    if found is None:
        return []
    try:
        entries = [entry for entry in os.scandir(found) if is_run_name(entry.name)]
        fleets = [_read(Path(entry.path)) for entry in entries if entry.is_dir() or entry.is_symlink()]
    except OSError as exc:
        raise state_error(state, exc) from exc
    return sorted(filter(None, fleets), key=lambda fleet: (fleet.started_at, fleet.name), reverse=True)


def find_fleet(state: Path, prefix: str | None) -> Fleet:
    """The fleet whose id begins so, or the one that started last; raise `InputError` with what there is."""
    fleets = find_fleets(state)
    if not fleets:
        raise InputError(f"{state}: there are no runs here; start one with: callboard run PLAN.toml")
    if prefix is None:
        return fleets[0]
    matches = [fleet for fleet in fleets if fleet.name.startswith(prefix.lower())]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise InputError(f'run "{prefix}": more than one begins so: {_names(matches)}; write more of its id')
    raise InputError(f'run "{prefix}": there is none in {state}; there are: {_names(fleets)}')


def _write(folder: FleetFolder, identity: Identity) -> None:
    replace_file(folder.identity, msgspec.json.format(msgspec.json.encode(identity)) + b"\n")


def tell_detached(fleet: Fleet) -> str:
    """What to do about a fleet that is detached and has not ended."""
    if fleet.identity is not None and fleet.identity.standing:
        return f"its supervisor is gone; go on with: callboard up, or end it with: callboard stop {fleet.name}"
    workers = "its keeper looks after its workers" if fleet.keeper_lives() else "no keeper looks after its workers"
    return (
        f"its supervisor is gone, {workers}; go on with: callboard resume {fleet.name}, "
        f"or end it with: callboard stop {fleet.name}"
    )


def _names(fleets: list[Fleet]) -> str:
    rest = len(fleets) - _SHOWN
    return ", ".join(fleet.name for fleet in fleets[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _read(root: Path) -> Fleet | None:
    """None: it was removed meanwhile."""
    folder = FleetFolder(root)
    try:
        changed_at = root.lstat().st_mtime
    except FileNotFoundError:
        return None
    if root.is_symlink():
        return Fleet(folder, None, "a link, not a folder", changed_at)
    try:
        identity = msgspec.json.decode(folder.identity.read_bytes(), type=Identity)
    except FileNotFoundError:
        return Fleet(folder, None, "fleet.json is missing", changed_at)
    except OSError as exc:
        return Fleet(folder, None, f"fleet.json: {exc.strerror}", changed_at)
    except (ValueError, RecursionError) as exc:  # all that a decoder raises
        return Fleet(folder, None, f"fleet.json: {exc}", changed_at)
    if identity.run != root.name:
        return Fleet(folder, None, f"fleet.json is that of {identity.run}", changed_at)
    return Fleet(folder, identity, "", identity.started_at)


def parent_of(folder: FleetFolder) -> FleetFolder | None:
    """The run that has started this one as an instance; None for one that a person has started."""
    runs: Path = folder.root.parent
    parent = FleetFolder(runs.parent.parent.parent)
    is_instance = runs.name == "runs" and runs.parent.parent.name == "instances" and parent.identity.exists()
    return parent if is_instance else None
