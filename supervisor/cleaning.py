"""Which of the workspaces that runs have left may go, and removing these."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from protocols.errors import WorkspaceError
from protocols.ids import TaskId
from supervisor.fleets import Fleet, find_fleet, find_fleets
from supervisor.instance_tree import place_of
from supervisor.left_spaces import LeftSpace, clean_space, list_spaces, read_spaces, with_instances
from supervisor.locks import hold_lock
from supervisor.retention import why_it_stays

__all__ = ["Cleaned", "clean_runs", "describe"]


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object of this shape is what ``clean --json`` prints."""

    removed: tuple[LeftSpace, ...]
    """With ``dry_run``: what would be."""
    kept: tuple[LeftSpace, ...]
    dry_run: bool


def clean_runs(state: Path, prefix: str | None, *, dry_run: bool, force: bool = False) -> Cleaned:
    """Of one run, or of all. Never of one that lives or can be taken up. Raise InputError, StateError."""
    fleets = find_fleets(state) if prefix is None else [find_fleet(state, prefix)]
    found = [space for fleet in fleets for space in _clean(fleet, dry_run=dry_run, force=force)]
    return Cleaned(
        removed=tuple(space for space in found if not space.kept),
        kept=tuple(space for space in found if space.kept),
        dry_run=dry_run,
    )


def _clean(fleet: Fleet, *, dry_run: bool, force: bool) -> Iterator[LeftSpace]:
    names = list_spaces(fleet.folder)
    if not names:
        return
    if reason := why_it_stays(fleet):
        yield from (_kept(fleet, task, reason) for task in names)
        return
    with hold_lock(fleet.folder.lock) as held:
        if not held:
            yield from (_kept(fleet, task, "another callboard is at it") for task in names)
            return
        for name, folder in with_instances(fleet.folder):
            try:
                for record in read_spaces(folder):
                    space = clean_space(folder, record, dry_run=dry_run, force=force)
                    yield msgspec.structs.replace(space, run=fleet.name, task=TaskId(f"{name}{space.task}"))
            except WorkspaceError as error:
                yield _kept(fleet, next(task for task in names if task.startswith(name)), str(error))


def _kept(fleet: Fleet, task: TaskId, reason: str) -> LeftSpace:
    folder, own = place_of(fleet.folder, task)
    path = str(folder.workspace(own))
    return LeftSpace(run=fleet.name, task=task, kind="workspace", path=path, branch="", kept=reason)


def describe(done: Cleaned) -> list[str]:
    """One line for each, and one for all."""
    lines = [f"kept {_name(each)}: {each.kept}: {each.path}" for each in done.kept]
    for each in done.removed:
        if done.dry_run:
            lines.append(f"would remove {_name(each)}: {each.path}")
        else:
            stays = f"; its commits are on the branch {each.branch}" if each.branch else ""
            lines.append(f"removed {_name(each)}{stays}")
    return [*lines, _count(done)]


def _name(space: LeftSpace) -> str:
    return f"{space.kind} of {space.task} in {space.run}"


def _count(done: Cleaned) -> str:
    count = len(done.removed)
    what = f"{count} workspace{'' if count == 1 else 's'}"
    if not done.dry_run:
        return f"{what} removed"
    return f"{what} to remove" + ("; to do it: callboard clean --yes" if count else "")
