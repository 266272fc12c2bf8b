"""Where a task works: what a plan says of it, what is kept of it in the folder of a run, and what is recorded."""

from typing import Literal, TypeAlias

import msgspec

from protocols.bases import BaseEvent
from protocols.ids import TaskId

__all__ = ["GivenFile", "SpaceEvent", "SpaceRecord", "Workspace", "WorkspaceEvent", "workspace_text"]

Keep: TypeAlias = Literal["always", "on-failure", "never"]


class GivenFile(msgspec.Struct, frozen=True):
    """A file that is put into a workspace before anybody works there."""

    path: str
    """Relative to the workspace."""
    kind: Literal["copy", "text", "template"]
    text: str
    """Of ``copy`` the path of the file; else the text. Of ``template`` the path of a file, until a plan is loaded."""


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """``shared``: where the plan was started, or what ``cwd`` says. The others are made for the task, once."""

    kind: Literal["shared", "folder", "worktree"] = "shared"
    repository: str = "."
    branch: str = "callboard/{run}/{task}"
    """The new branch of a worktree."""
    base: str = "HEAD"
    """The commit at which it begins."""
    allow_dirty: bool = False
    """Where the repository has changes that are not committed, they are just not in it."""
    keep: Keep = "always"
    files: tuple[GivenFile, ...] = ()
    agent_md: bool = False
    """It gets a file ``AGENT.md`` about the task."""
    shared_with: TaskId | None = None
    """It is that of this task, and ``kind`` that of this task's."""
    share: bool = False
    """Others may work there at the same time."""

    def owner(self, task: TaskId) -> TaskId:
        """For whom the workspace of this task was made."""
        return self.shared_with or task


class SpaceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a run keeps of a workspace beside it, so that whoever comes later knows what it is."""

    task: TaskId
    kind: Literal["folder", "worktree"]
    path: str
    repository: str = ""
    branch: str = ""
    base: str = ""
    """The commit at which the branch began; empty where that was not found out yet."""
    found: bool = False
    """The branch was there already, of an earlier time at which the run was worked at: it is not ours to delete."""
    keep: Keep = "always"
    state: Literal["making", "made", "removing"] = "making"
    told: bool = False
    """Its event is in the journal."""
    kept: str = ""
    """Why it stays, as the journal has been told."""
    files: dict[str, str] = {}
    """The SHA-256 of each file that was put there."""
    uncommitted: int = 0
    """Changes of the repository that are not in it."""


class SpaceEvent(BaseEvent, frozen=True, kw_only=True):
    task: TaskId
    path: str
    branch: str = ""
    """Of a worktree."""


class WorkspaceMade(SpaceEvent, frozen=True, kw_only=True, tag="workspace.made"):
    """Recorded before the first attempt starts there."""

    kind: Literal["folder", "worktree"]
    base: str = ""
    """The commit at which its branch begins."""
    files: tuple[str, ...] = ()
    """That were put there."""
    uncommitted: int = 0
    """Changes in the repository that were not committed, and so are not there."""


class WorkspaceKept(SpaceEvent, frozen=True, kw_only=True, tag="workspace.kept"):
    """Nobody works there any more, and it stays."""

    reason: str


class WorkspaceRemoved(SpaceEvent, frozen=True, kw_only=True, tag="workspace.removed"):
    """``branch`` is the one that stays, because it has commits."""


def workspace_text(event: BaseEvent) -> str | None:
    """What became of a workspace, where somebody may look for it; None where it is not worth a line."""
    match event:
        case WorkspaceMade() if event.uncommitted:
            return f"{event.task}: its worktree is without {event.uncommitted} changes that are not committed"
        case WorkspaceKept():
            return f"{event.task}: its workspace stays, {event.reason}: {event.path}"
        case WorkspaceRemoved() if event.branch:
            return f"{event.task}: its commits are on the branch {event.branch}"
        case _:
            return None


WorkspaceEvent: TypeAlias = WorkspaceMade | WorkspaceKept | WorkspaceRemoved
