"""The workspaces of a run: made before the first attempt, the same for all, kept or removed when nobody needs them."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import trio

from actors.git_keeper import KeeperGit
from actors.journal_file import read_records
from actors.messages import Append
from actors.space_files import free_locks, put_files, read_record, remove_tree, unchanged_files, write_record
from protocols.agent_md import write_agent_md
from protocols.errors import WorkspaceError
from protocols.events import Event, WorkerExited
from protocols.fan_out import planned
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.outcomes import is_success
from protocols.plan import Task
from protocols.plan_workspace import branch_name
from protocols.workspace import SpaceRecord, WorkspaceKept, WorkspaceMade, WorkspaceRemoved
from protocols.worktree import add_worktree, check_branch, count_changes, find_commit, find_losses, forget_worktree

__all__ = ["Workspaces", "place_task", "workspace_of"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


def workspace_of(task: Task, folder: FleetFolder) -> str:
    """Where the task works: as templates name it."""
    space = task.workspace
    return task.cwd if space.kind == "shared" else str(folder.workspace(space.owner(task.id)))


def place_task(task: Task, folder: FleetFolder) -> Task:
    """The task with the paths that count from its workspace, where it has one of its own."""
    space = task.workspace
    if space.kind == "shared":
        return task
    root = folder.workspace(space.owner(task.id))
    output, log, progress = task.output, task.logfile, task.progress_file
    if output is not None and output.path:
        output = msgspec.structs.replace(output, path=str(root / output.path))
    if log is not None:
        log = msgspec.structs.replace(log, path=str(root / log.path))
    if progress is not None:
        progress = str(root / progress)
    cwd = str(root / task.cwd)
    return msgspec.structs.replace(task, cwd=cwd, output=output, logfile=log, progress_file=progress)


@dataclass(slots=True, kw_only=True)
class Workspaces:
    """What the roster asks before and behind each attempt. Its state lies on the disk."""

    folder: FleetFolder
    tasks: Mapping[TaskId, Task]
    """Of the plan."""
    git: KeeperGit
    outbox: trio.MemorySendChannel[Append]
    limiter: trio.CapacityLimiter
    outcomes: dict[TaskId, bool] = field(default_factory=dict)
    """Whether the last attempt of each task ended well."""
    now: Callable[[], float] = time.time
    _turns: dict[str, trio.Lock] = field(default_factory=dict)
    """Of workspaces, by their task, and of repositories: git does not like two that make worktrees at once."""

    async def make(self, task: Task) -> str:
        """Have the workspace of a task there for its next attempt. Return why that cannot be; empty where it is.

        ``task`` has the texts of its files. Cancelled, it leaves what the next call begins with.
        """
        space = task.workspace
        if space.kind == "shared":
            return ""
        try:
            async with self._turns.setdefault(f"task {space.owner(task.id)}", trio.Lock()):
                await self._enter(task)
        except WorkspaceError as error:
            return f"workspace: {error}"
        except OSError as error:
            return f"workspace: {error.filename}: {error.strerror}"
        return ""

    async def ended(self, task: Task, exited: WorkerExited) -> None:
        """An attempt is over. Where it ended well, and nobody else works there, its workspace has had its time."""
        if task.workspace.kind == "shared":
            return
        self.outcomes[task.id] = is_success(exited)
        if self.outcomes[task.id] and task.restart.when == "never" and self._workers(task.id).keys() <= {task.id}:
            await self._part(task.id)

    async def close(self) -> None:
        """No attempt will come any more."""
        names = await self._in_thread(_names, self.folder.space_records)
        for name in names:
            await self._part(TaskId(name))

    async def _enter(self, task: Task) -> None:
        owner = task.workspace.owner(task.id)
        record = await self._in_thread(read_record, self.folder.space_record(owner))
        fresh = record is None
        if owner != task.id and (record is None or record.state != "made"):
            raise WorkspaceError(f'that of "{owner}" was never made, so nobody can work there')
        if record is None or record.state == "making":
            record = await self._make(task, record)
        elif not await self._in_thread(Path(record.path).is_dir):
            raise WorkspaceError(f"{record.path} is gone: somebody has removed it; start a new run")
        elif not any(worker.workspace.share for worker in self._workers(owner).values()):
            for lock in await self._in_thread(free_locks, record):
                logger.warning("%s: left by a git that was killed; removed", lock)
        if not record.told:
            await self._tell(record, fresh=fresh)

    async def _make(self, task: Task, left: SpaceRecord | None) -> SpaceRecord:
        """``left``: of an earlier try that did not come to its end; nobody has worked there."""
        if left is not None:
            await self._clear(left)
        space, path = task.workspace, self.folder.workspace(task.id)
        kind: Literal["folder", "worktree"] = "worktree" if space.kind == "worktree" else "folder"
        record = SpaceRecord(task=task.id, kind=kind, path=str(path), keep=space.keep)
        if kind == "worktree":
            async with self._turns.setdefault(f"repository {space.repository}", trio.Lock()):
                record = await self._add_worktree(task, record)
        else:
            await self._write(record)
            await self._in_thread(_make_folder, path)
        agent_md = write_agent_md(task, record) if space.agent_md else ""
        files = await self._in_thread(put_files, path, task, agent_md)
        return await self._write(msgspec.structs.replace(record, files=files, state="made"))

    async def _add_worktree(self, task: Task, record: SpaceRecord) -> SpaceRecord:
        space, run = task.workspace, self.folder.root.name
        commit = await self.git.converse(find_commit(space.repository, branch_name(space.base, run, task.id)))
        branch = branch_name(space.branch, run, task.id)
        own = "{run}" in space.branch or await self._in_thread(_was_made, self.folder.journal, task.id, branch)
        found = await self.git.converse(check_branch(space.repository, branch, own=own))
        record = msgspec.structs.replace(
            record,
            repository=space.repository,
            branch=branch,
            base=found or commit,
            found=bool(found),
            uncommitted=await self.git.converse(count_changes(space.repository)),
        )
        await self._write(record)  # before anything is there: a later callboard has to find it
        await self.git.converse(add_worktree(record))
        return record

    async def _tell(self, record: SpaceRecord, *, fresh: bool) -> None:
        """In the journal, once. ``fresh``: it surely is not there yet."""
        made = WorkspaceMade(
            at=self.now(),
            task=record.task,
            kind=record.kind,
            path=record.path,
            branch=record.branch,
            base=record.base,
            files=tuple(record.files),
            uncommitted=record.uncommitted,
        )
        if fresh or not await self._in_thread(_is_told, self.folder.journal, made):
            await self._record(made)
        await self._write(msgspec.structs.replace(record, told=True))

    async def _part(self, task: TaskId) -> None:
        """Remove the workspace of a task if its policy says so and nothing is lost with it; else tell why it stays."""
        try:
            record = await self._in_thread(read_record, self.folder.space_record(task))
        except WorkspaceError as error:
            logger.warning("%s", error)
            return
        if record is None:
            return
        try:
            reason = await self._why_kept(record)
            if not reason:
                await self._remove(record, fresh=record.state == "made")
        except WorkspaceError as error:
            reason = str(error)
        except OSError as error:
            reason = f"{error.filename} cannot be removed: {error.strerror}"
        if reason and reason != record.kept:
            kept = WorkspaceKept(at=self.now(), task=task, path=record.path, branch=record.branch, reason=reason)
            await self._record(kept)
            left = await self._in_thread(read_record, self.folder.space_record(task)) or record
            await self._write(msgspec.structs.replace(left, kept=reason))

    async def _why_kept(self, record: SpaceRecord) -> str:
        if record.state != "made":
            return ""  # nobody has worked there, or it was found before that nothing is lost
        if record.keep == "always":
            return 'keep is "always"'
        workers = {record.task, *self._workers(record.task)}  # one of for_each is not in the plan
        if record.keep == "on-failure" and not all(self.outcomes.get(each) for each in workers):
            return "who worked there did not end well"
        if record.kind == "folder":
            return ""
        given = await self._in_thread(unchanged_files, record)
        return await self.git.converse(find_losses(record, given))

    async def _remove(self, record: SpaceRecord, *, fresh: bool) -> None:
        """Remove it with all that is in it, and tell so. ``fresh``: that surely was not told yet."""
        if record.state == "made":
            record = await self._write(msgspec.structs.replace(record, state="removing"))
        branch = await self._clear(record)
        removed = WorkspaceRemoved(at=self.now(), task=record.task, path=record.path, branch=branch)
        if record.told and (fresh or not await self._in_thread(_is_told, self.folder.journal, removed)):
            await self._record(removed)
        await self._in_thread(self.folder.space_record(record.task).unlink)

    async def _clear(self, record: SpaceRecord) -> str:
        """Return the branch that stays."""
        for lock in await self._in_thread(free_locks, record):
            logger.warning("%s: left by a git that was killed; removed", lock)
        await self._in_thread(remove_tree, Path(record.path))
        if not record.branch:
            return ""
        async with self._turns.setdefault(f"repository {record.repository}", trio.Lock()):
            return await self.git.converse(forget_worktree(record))

    def _workers(self, owner: TaskId) -> dict[TaskId, Task]:
        """All that work in the workspace of this task, itself included."""
        if owner not in self.tasks:  # it was made in mid-run, and has its workspace for itself
            return {owner: self.tasks[planned(owner)]}
        return {name: task for name, task in self.tasks.items() if task.workspace.owner(name) == owner}

    async def _write(self, record: SpaceRecord) -> SpaceRecord:
        await self._in_thread(write_record, self.folder.space_record(record.task), record)
        return record

    async def _record(self, event: Event) -> None:
        committed = trio.Event()
        await self.outbox.send(Append(event, committed))
        await committed.wait()

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(function, *arguments, limiter=self.limiter)


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True)


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("[!.]*.json"))


def _was_made(journal: Path, task: TaskId, branch: str) -> bool:
    """Whether the run has worked on this branch before, so that nobody else has it."""
    events = (record.event for record in read_records(journal))
    return any(isinstance(event, WorkspaceMade) and (event.task, event.branch) == (task, branch) for event in events)


def _is_told(journal: Path, wanted: WorkspaceMade | WorkspaceRemoved) -> bool:
    """Read all of it: only where a callboard was killed between the record of a workspace and its own note of that."""
    events = (record.event for record in read_records(journal))
    return any(type(event) is type(wanted) and event.task == wanted.task for event in events)
