"""The workspaces that runs have left: which there are, and removing them where nothing is lost."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from actors.space_files import free_locks, read_record, remove_tree, unchanged_files, write_record
from protocols.errors import WorkspaceError
from protocols.ids import RunId, TaskId
from protocols.layout import FleetFolder
from protocols.workspace import SpaceRecord
from protocols.worktree import GitCall, GitDone, converse, find_commits, find_losses, forget_worktree

__all__ = ["LeftSpace", "clean_space", "list_spaces", "read_spaces", "with_instances"]


class LeftSpace(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace that nobody works in any more."""

    run: RunId
    task: TaskId
    kind: str
    path: str
    branch: str
    """Empty where it has none; of one that was removed: the branch that stays."""
    kept: str = ""
    """Why it is not removed; empty where it is, or may be."""


def with_instances(folder: FleetFolder, name: str = "") -> Iterator[tuple[str, FleetFolder]]:
    """A run and those of its instances, each behind what stands in front of the names of its tasks: ``build/``."""
    yield name, folder
    for run in sorted(folder.root.glob("instances/*/runs/[!.]*")):
        yield from with_instances(FleetFolder(run), f"{name}{run.parent.parent.name}/")


def list_spaces(folder: FleetFolder) -> tuple[TaskId, ...]:
    """The tasks whose workspaces are there, those of instances too: ``build/itp-7``."""
    found = (TaskId(f"{name}{task}") for name, run in with_instances(folder) for task in _own_spaces(run))
    return tuple(sorted(found))


def _own_spaces(folder: FleetFolder) -> list[TaskId]:
    return sorted(TaskId(path.stem) for path in folder.space_records.glob("[!.]*.json"))


def read_spaces(folder: FleetFolder) -> list[SpaceRecord]:
    """Of a run without its instances. Raise WorkspaceError where one is not understood."""
    records = (read_record(folder.space_record(task)) for task in _own_spaces(folder))
    return [record for record in records if record is not None]


def clean_space(folder: FleetFolder, record: SpaceRecord, *, dry_run: bool, force: bool) -> LeftSpace:
    """Remove it, unless something would be lost with it. ``force``: changes that are not committed may be."""
    from actors.git_program import find_git  # noqa: PLC0415 - who lists runs need not have it in memory

    branch = record.branch
    try:
        git = find_git(os.environ) if record.branch else _no_git
        kept = _why_kept(folder, record, git, force=force)
        if not kept and not dry_run:
            branch = _remove(folder, record, git)
    except WorkspaceError as error:
        kept = str(error)
    except OSError as error:
        kept = f"{error.filename} cannot be removed: {error.strerror}"
    return LeftSpace(
        run=RunId(folder.root.name),
        task=record.task,
        kind=record.kind,
        path=record.path,
        branch=branch,
        kept=kept,
    )


def _why_kept(folder: FleetFolder, record: SpaceRecord, git: Callable[[GitCall], GitDone], *, force: bool) -> str:
    place = folder.workspace(record.task)
    if place.resolve() != Path(record.path).resolve():
        return f"the run was moved; its workspaces are those of {record.path}"
    if record.state != "made" or record.kind == "folder" or not place.is_dir():
        return ""
    losses = find_commits(record) if force else find_losses(record, unchanged_files(record))
    return converse(losses, git)


def _remove(folder: FleetFolder, record: SpaceRecord, git: Callable[[GitCall], GitDone]) -> str:
    """Return the branch that stays."""
    place = folder.space_record(record.task)
    write_record(place, msgspec.structs.replace(record, state="removing"))
    free_locks(record)
    remove_tree(Path(record.path))
    branch = converse(forget_worktree(record), git) if record.branch else ""
    place.unlink()
    return branch


def _no_git(_: GitCall) -> GitDone:
    return GitDone(None, problem="nobody asks git of a folder")
