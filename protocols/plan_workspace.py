"""The key ``workspace`` of a plan, and whether the workspaces of its tasks go together."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, get_args

import msgspec

from protocols.ids import TaskId
from protocols.plan import Task
from protocols.section import Section
from protocols.wording import quote
from protocols.workspace import GivenFile, Keep, Workspace

__all__ = ["branch_name", "check_workspaces", "fit_workspace", "is_inside", "read_workspace"]

_KEYS = ("kind", "repository", "branch", "base", "allow_dirty", "keep", "files", "agent_md", "shared_with", "share")
_OF_GIT = ("repository", "branch", "base", "allow_dirty")
_WRITE = 'write "shared", "folder" or "worktree", or a table such as { kind = "worktree" }'
_KINDS = ("shared", "folder", "worktree")
_WRITE_FILE = 'write { copy = "FILE" }, { text = "TEXT" } or { template = "FILE" }'
_NOBODY = 'the task starts nothing that could work there; write "shared"'
_OF_ITS_TASKS = "an instance has none, the tasks in its plan have; say it there, and remove this key"
_LONGEST_TEXT = 1024 * 1024
_PLACES = re.compile(r"\{(run|task)\}")
_NO_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|^[/.-]|[/.]$|^@$")
_AGENT_MD = "AGENT.md"


def read_workspace(section: Section) -> Workspace | None:
    """What one level says, as a whole: nothing of it comes from the level below."""
    match section.get("workspace"):
        case None:
            return None
        case "shared":
            return Workspace()
        case "folder":
            return Workspace(kind="folder")
        case "worktree":
            return Workspace(kind="worktree", keep="on-failure")
        case str() as unknown:
            section.reject("workspace", f"{quote(unknown)} is none{section.guess(unknown, _KINDS) or f'; {_WRITE}'}")
        case dict():
            table = section.table("workspace")
            return None if table is None else _read_table(table)
        case _:
            section.reject("workspace", _WRITE)
    return None


def _read_table(table: Section) -> Workspace | None:
    table.check_keys(_KEYS, {})
    other = table.text("shared_with")
    if other is not None:
        for key in _KEYS:
            if key in table and key not in {"shared_with", "share"}:
                table.reject(key, "with shared_with it is all as that task says; remove this key")
        return Workspace(kind="folder", shared_with=TaskId(other), share=bool(table.flag("share")))
    kind = _read_kind(table)
    if kind is None:
        return None
    for key in _KEYS if kind == "shared" else _OF_GIT if kind == "folder" else ():
        if key in table and key != "kind":
            table.reject(key, f"kind is {quote(kind)}, which has none; remove this key")
    return Workspace(
        kind=kind,
        repository=table.text("repository") or ".",
        branch=_read_branch(table) or Workspace().branch,
        base=_read_base(table) or "HEAD",
        allow_dirty=bool(table.flag("allow_dirty")),
        keep=_read_keep(table) or ("on-failure" if kind == "worktree" else "always"),
        files=tuple(_read_files(table)),
        agent_md=bool(table.flag("agent_md")),
        share=bool(table.flag("share")),
    )


def _read_kind(table: Section) -> Literal["shared", "folder", "worktree"] | None:
    match table.text("kind"):
        case "shared" | "folder" | "worktree" as kind:
            return kind
        case None:
            if "kind" not in table:
                table.reject("kind", 'missing; write "folder" or "worktree", or name a task in shared_with')
        case unknown:
            guess = table.guess(unknown, _KINDS) or '; write "folder" or "worktree"'
            table.reject("kind", f"{quote(unknown)} is no kind of workspace{guess}")
    return None


def _read_keep(table: Section) -> Keep | None:
    match table.text("keep"):
        case None:
            return None
        case "always" | "on-failure" | "never" as keep:
            return keep
        case unknown:
            guess = table.guess(unknown, get_args(Keep)) or '; write "always", "on-failure" or "never"'
            table.reject("keep", f"{quote(unknown)} is no time to keep it{guess}")
    return None


def _read_branch(table: Section) -> str | None:
    branch = table.text("branch")
    if branch is None:
        return None
    if problem := _wrong_places(branch):
        table.reject("branch", problem)
    elif _NO_REF.search(branch_name(branch, "run", "task")):
        table.reject(
            "branch", f'{quote(branch)} is no name that git takes; write one such as "callboard/{{run}}/{{task}}"'
        )
    return branch


def _read_base(table: Section) -> str | None:
    base = table.text("base")
    if base is not None and (problem := _wrong_places(base)):
        table.reject("base", problem)
    elif base is not None and base.startswith("-"):
        table.reject("base", f"{quote(base)} is no commit; name a branch, a tag or a commit")
    return base


def _wrong_places(text: str) -> str:
    rest = _PLACES.sub("", text)
    return f"{quote(text)}: only {{run}} and {{task}} can stand in braces" if "{" in rest or "}" in rest else ""


def branch_name(text: str, run: str, task: str) -> str:
    """The branch or base with what its places stand for. What git takes in no name is written otherwise, and made
    unlike all others by a few digits."""
    plain = re.sub(r"[^A-Za-z0-9._-]+|^\.+|\.\.+|\.lock$|\.$", "-", task)
    if plain != task:
        plain = f"{plain.strip('-.')}-{hashlib.sha256(task.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return _PLACES.sub(lambda match: run if match[1] == "run" else plain, text)


def _read_files(table: Section) -> Iterator[GivenFile]:
    files = table.table("files", '{ "PATH" = { copy = "FILE" } }')
    for path in files or ():
        if files is None:
            continue
        if not is_inside(path) or path in {"", "."} or ".git" in PurePosixPath(path).parts:
            files.reject(path, 'outside of the workspace, or of git; write a relative path without ".."')
        elif table.get("agent_md") is True and path == _AGENT_MD:
            files.reject(path, "agent_md makes a file of this name; remove one of both")
        elif (found := _read_file(files, path)) is not None:
            yield found


def _read_file(files: Section, path: str) -> GivenFile | None:
    match files.get(path):
        case {"copy": _, **rest} if not rest:
            kind: Literal["copy", "text", "template"] = "copy"
        case {"text": _, **rest} if not rest:
            kind = "text"
        case {"template": _, **rest} if not rest:
            kind = "template"
        case _:
            files.reject(path, _WRITE_FILE)
            return None
    table = files.table(path)
    text = None if table is None else table.text(kind, empty=kind == "text")
    if table is not None and text is not None and kind == "text" and len(text.encode()) > _LONGEST_TEXT:
        table.reject(kind, 'longer than 1 MiB; put it in a file and write { copy = "FILE" }')
    return None if text is None else GivenFile(path, kind, text)


def is_inside(path: str) -> bool:
    """Whether a path stays in the folder from which it counts, as it is written."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts


def fit_workspace(section: Section, task: Task) -> Task:
    """The task, whose workspace does not count where it only comes from a role and the task runs nothing of its own."""
    if task.workspace.kind == "shared":
        return task
    if task.tmux is not None or (not task.command and task.prompting is None and "command" not in section):
        if "workspace" in section:
            section.reject("workspace", _OF_ITS_TASKS if task.instance is not None else _NOBODY)
        return msgspec.structs.replace(task, workspace=Workspace())
    if not is_inside(task.cwd):
        rule = 'outside of its workspace; write a path in it, or workspace = "shared"'
        section.reject("cwd", f"{quote(task.cwd)}: {rule}")
    return task


class _Place(NamedTuple):
    section: Section
    task: Task


def check_workspaces(sections: Mapping[TaskId, Section], tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Report what does not go together, and return the tasks, those that work with others with the kind of these."""
    places = {task.id: _Place(sections[task.id], task) for task in tasks if task.id in sections}
    before = _Before({task.id: task.needs for task in tasks})
    for place in places.values():
        _check_shared(place, places, before)
    for place in places.values():
        _check_several(place, places)
    _check_together([place for place in places.values() if place.task.workspace.kind != "shared"], before)
    _check_branches([place for place in places.values() if place.task.workspace.kind == "worktree"])
    return tuple(_with_kind(task, places) for task in tasks)


class _Before:
    """Who is done before a task begins, directly or through others."""

    def __init__(self, needs: Mapping[TaskId, tuple[TaskId, ...]]) -> None:
        self._needs = needs
        self._known: dict[TaskId, frozenset[TaskId]] = {}

    def of(self, task: TaskId) -> frozenset[TaskId]:
        if task not in self._known:
            found: set[TaskId] = set()
            rest = [*self._needs.get(task, ())]
            while rest:
                if (need := rest.pop()) not in found:
                    found.add(need)
                    rest.extend(self._needs.get(need, ()))
            self._known[task] = frozenset(found)
        return self._known[task]


def _check_shared(place: _Place, places: Mapping[TaskId, _Place], before: _Before) -> None:
    section, task = place
    name = task.workspace.shared_with
    if name is None:
        return
    other = places.get(name)
    if other is None or name == task.id:
        guess = section.guess(name, [each for each in places if each != task.id])
        section.reject("workspace", f"shared_with: no other task {quote(name)}{guess or '; correct the name'}")
    elif other.task.workspace.kind == "shared":
        section.reject("workspace", f"shared_with: {quote(name)} has no workspace of its own; give it one")
    elif other.task.workspace.shared_with is not None:
        first = other.task.workspace.shared_with
        section.reject("workspace", f"shared_with: that of {quote(name)} is that of {quote(first)}; name this one")
    elif name not in before.of(task.id):
        section.reject("workspace", f"shared_with: {quote(name)} may not have one by then; add it to needs")


def _check_several(place: _Place, places: Mapping[TaskId, _Place]) -> None:
    """Of ``for_each`` there are many tasks at once."""
    section, space = place.section, place.task.workspace
    other = None if space.shared_with is None else places.get(space.shared_with)
    if other is not None and other.task.for_each is not None:
        what = f"{quote(other.task.id)} has for_each, so there are as many workspaces as items"
        section.reject("workspace", f"shared_with: {what}; name another task")
    if place.task.for_each is None:
        return
    if space.shared_with is not None and not space.share:
        section.reject("workspace", "the tasks of for_each may work there at the same time; write share = true")
    elif space.kind == "worktree" and space.shared_with is None and "{task}" not in space.branch:
        section.reject("workspace", "the tasks of for_each cannot have one branch; write {task} into its name")


def _check_together(places: Sequence[_Place], before: _Before) -> None:
    """Two tasks in one workspace, each of which may run while the other does."""
    groups: dict[TaskId, list[_Place]] = {}
    for place in places:
        groups.setdefault(place.task.workspace.owner(place.task.id), []).append(place)
    for group in groups.values():
        for index, one in enumerate(group):
            for other in group[:index]:
                if one.task.workspace.share or other.task.workspace.share:
                    continue
                if one.task.id not in before.of(other.task.id) and other.task.id not in before.of(one.task.id):
                    what = f"{quote(other.task.id)} may work there at the same time"
                    one.section.reject("workspace", f"{what}; let one need the other, or write share = true")


def _check_branches(places: Sequence[_Place]) -> None:
    first: dict[tuple[str, str], _Place] = {}
    for place in places:
        space = place.task.workspace
        name = branch_name(space.branch, "{run}", place.task.id)
        other = first.setdefault((space.repository, name), place)
        if other is not place and space.shared_with is None:
            advice = "write {task} into its name, or shared_with to work there together"
            place.section.reject("workspace", f"its branch is that of {quote(other.task.id)} too; {advice}")


def _with_kind(task: Task, places: Mapping[TaskId, _Place]) -> Task:
    other = None if task.workspace.shared_with is None else places.get(task.workspace.shared_with)
    if other is None:
        return task
    space = msgspec.structs.replace(task.workspace, kind=other.task.workspace.kind)
    return msgspec.structs.replace(task, workspace=space)
