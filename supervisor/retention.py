"""Which runs may go, and removing them: never one that lives, or whose keeper does."""

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from protocols.errors import JournalError
from protocols.ids import RunId
from supervisor.fleets import Fleet, find_fleets
from supervisor.left_spaces import list_spaces
from supervisor.locks import hold_lock, is_locked
from supervisor.sweep import conclude, find_end

__all__ = ["Pruned", "prune_runs", "why_it_stays"]

_DAY = 24 * 3600.0
_FORGOTTEN = 3600.0  # a folder that is being made is there for milliseconds


class Removed(msgspec.Struct, frozen=True):
    run: RunId
    bytes: int
    """On disk."""


class Kept(msgspec.Struct, frozen=True):
    run: RunId
    reason: str


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    removed: tuple[Removed, ...]
    kept: tuple[Kept, ...]
    """Those that should go by their age, and why they stay."""
    bytes: int
    dry_run: bool


def prune_runs(state: Path, *, keep_runs: int, keep_days: float, dry_run: bool = False, now: float) -> Pruned:
    """Remove all but the last ``keep_runs``, and of these what is older than ``keep_days``."""
    removed: list[Removed] = []
    kept: list[Kept] = []
    for fleet in _due(find_fleets(state), keep_runs, now - keep_days * _DAY):
        reason = why_it_stays(fleet) or _tell_spaces(fleet)
        size = _size(fleet.folder.root)
        if not reason and not dry_run:
            reason = _remove(fleet)
        if reason:
            kept.append(Kept(fleet.name, reason))
        else:
            removed.append(Removed(fleet.name, size))
    if not dry_run:
        _clear(state, now)
    return Pruned(removed=tuple(removed), kept=tuple(kept), bytes=sum(each.bytes for each in removed), dry_run=dry_run)


def _due(fleets: Sequence[Fleet], keep_runs: int, before: float) -> list[Fleet]:
    """The latest fleet stands first."""
    return [fleet for index, fleet in enumerate(fleets) if index >= keep_runs or fleet.started_at < before]


def _tell_spaces(fleet: Fleet) -> str:
    """Somebody may miss what tasks have left in them."""
    names = list_spaces(fleet.folder)
    return f"workspaces are left in it ({', '.join(names)}); see: callboard clean {fleet.name}" if names else ""


def why_it_stays(fleet: Fleet) -> str:
    """Why nobody may remove anything of this run; empty where that is allowed."""
    if fleet.identity is None:
        return f"damaged: {fleet.problem}; if nobody needs it, remove it by hand: {fleet.folder.root}"
    try:
        conclude(fleet)
        ended = find_end(fleet) is not None
    except JournalError as exc:
        return str(exc)
    if fleet.is_alive():
        return "it is running"
    if fleet.keeper_lives():
        return "its keeper is running"
    return "" if ended else "its end could not be recorded"


def _remove(fleet: Fleet) -> str:
    """Return why it could not be removed. It disappears at once, as far as others can see."""
    root = fleet.folder.root
    try:
        with hold_lock(fleet.folder.lock) as held:
            if not held:
                return "another callboard is at it"
            hidden = root.rename(root.with_name(f".old-{secrets.token_hex(8)}"))
        shutil.rmtree(hidden)
    except OSError as exc:
        return f"{exc.strerror}: {exc.filename}"
    return ""


def _clear(state: Path, now: float) -> None:
    """What callboards that were killed left half made or half removed."""
    for path in state.glob(".old-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in state.glob(".new-*"):
        if path.lstat().st_mtime < now - _FORGOTTEN and not is_locked(path / "lock"):
            shutil.rmtree(path, ignore_errors=True)


def _size(root: Path) -> int:
    """Bytes on disk, links not followed."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                total += (Path(folder) / name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return total
