"""What the workspaces of a plan name: repositories, commits, branches, files; found and checked before it starts."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

from protocols.errors import PlanError, WorkspaceError
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.plan import Task
from protocols.wording import quote
from protocols.workspace import GivenFile, Workspace
from protocols.worktree import GitCall, GitDone, check_branch, converse, count_changes, find_commit
from supervisor.input_files import decode_input, read_input
from supervisor.path_problems import file_problem

__all__ = ["load_files", "place_workspace", "worktree_problems"]


def place_workspace(space: Workspace, start: Path) -> Workspace:
    """With absolute paths of the repository and of what is put there."""
    files = tuple(
        file if file.kind == "text" else msgspec.structs.replace(file, text=str(start / file.text))
        for file in space.files
    )
    return msgspec.structs.replace(space, repository=os.path.normpath(start / space.repository), files=files)


def load_files(
    tasks: Sequence[Task], kept: FleetFolder | None, leave: Collection[TaskId]
) -> tuple[tuple[Task, ...], dict[str, bytes], list[str]]:
    """The tasks with the text of each template in place of its path; these texts by path; and what is wrong.

    ``kept``: a run that has copies of its own.
    """
    texts: dict[str, bytes] = {}
    problems: list[str] = []

    def load(task: Task, where: str, file: GivenFile) -> GivenFile:
        path, key = file.text, f"{where}.files.{file.path}"
        if file.kind == "copy" and kept is None and (problem := file_problem(path)):
            problems.append(f"{key}.copy: {problem}")
        if file.kind != "template" or (task.id in leave and kept is not None and not kept.schema(path).exists()):
            return file
        try:
            texts[path] = read_input(Path(path) if kept is None else kept.schema(path), path, PlanError)
            return msgspec.structs.replace(file, text=decode_input(texts[path], path, PlanError))
        except PlanError as error:
            problems.append(f"{key}.template: {error}")
            return file

    loaded = tuple(
        msgspec.structs.replace(
            task,
            workspace=msgspec.structs.replace(
                task.workspace,
                files=tuple(load(task, f"{task.place(index)}.workspace", file) for file in task.workspace.files),
            ),
        )
        if task.workspace.files
        else task
        for index, task in enumerate(tasks)
    )
    return loaded, texts, problems


def worktree_problems(tasks: Sequence[Task], base: Mapping[str, str]) -> list[str]:
    """What would keep the worktrees of these tasks from being made now, each thing once."""
    wanted: dict[Workspace, list[str]] = {}
    for index, task in enumerate(tasks):
        if task.workspace.kind == "worktree" and task.workspace.shared_with is None:
            key = Workspace(
                kind="worktree",
                repository=task.workspace.repository,
                branch=task.workspace.branch,
                base=task.workspace.base,
                allow_dirty=task.workspace.allow_dirty,
            )
            wanted.setdefault(key, []).append(task.place(index))
    if not wanted:
        return []
    from actors.git_program import find_git  # noqa: PLC0415 - who has no worktrees need not have it in memory

    try:
        git = cache(find_git(base))
    except WorkspaceError as error:
        return [f"{next(iter(wanted.values()))[0]}.workspace: {error}"]
    found: dict[str, list[str]] = {}
    for space, where in wanted.items():
        for problem in _problems(space, git):
            found.setdefault(problem, []).extend(where)
    return [_describe(problem, where) for problem, where in found.items()]


def _problems(space: Workspace, git: Callable[[GitCall], GitDone]) -> Iterator[str]:
    fixed = "{" not in space.base
    try:
        converse(find_commit(space.repository, space.base if fixed else "HEAD"), git)
        if "{" not in space.branch:
            converse(check_branch(space.repository, space.branch), git)
        if space.base == "HEAD" and not space.allow_dirty:
            yield from _tell_dirty(space.repository, converse(count_changes(space.repository), git))
    except WorkspaceError as error:
        yield str(error)


def _tell_dirty(repository: str, changes: int) -> Iterator[str]:
    if changes:
        count = f"{changes} change{'' if changes == 1 else 's'} that {'is' if changes == 1 else 'are'} not committed"
        advice = "commit or stash, or write allow_dirty = true"
        yield f"{quote(repository)} has {count}, and a worktree would begin without; {advice}"


def _describe(problem: str, where: Sequence[str]) -> str:
    more = f" (in {len(where)} tasks)" if len(where) > 1 else ""
    return f"{where[0]}.workspace: {problem}{more}"
