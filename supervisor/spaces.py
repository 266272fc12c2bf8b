"""Who makes the workspaces of a run."""

import os
from collections.abc import Mapping

import trio

from actors.git_keeper import KeeperGit
from actors.messages import Append
from actors.orders import KeeperAsk
from actors.workspaces import Workspaces
from protocols.ids import TaskId
from protocols.outcomes import is_success
from protocols.plan import Plan, Task
from protocols.resumption import Resumption
from supervisor.fleets import NewFleet

__all__ = ["open_workspaces"]


def open_workspaces(
    fleet: NewFleet,
    plan: Plan,
    tasks: Mapping[TaskId, Task],
    left: Resumption | None,
    keeper: trio.MemorySendChannel[KeeperAsk],
    outbox: trio.MemorySendChannel[Append],
) -> Workspaces | None:
    """None where no task has one of its own. ``tasks``: of the plan, with those that come to it."""
    if not plan.standing and all(task.workspace.kind == "shared" for task in plan.tasks):
        return None
    limiter = trio.CapacityLimiter(4)
    git = KeeperGit(
        keeper=keeper,
        fleet=fleet.identity.fleet,
        environ=os.environ,
        folder=fleet.folder.space_records / ".git",
        limiter=limiter,
    )
    outcomes: dict[TaskId, bool] = {}
    if left is not None:
        outcomes = dict(left.finished) | {TaskId(exited.worker): is_success(exited) for exited in left.ended}
    return Workspaces(
        folder=fleet.folder,
        tasks=tasks,
        git=git,
        outbox=outbox,
        limiter=limiter,
        outcomes=outcomes,
    )
