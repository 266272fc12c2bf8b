"""What the ledger is told of a plan."""

from collections.abc import Collection

from protocols.ids import TaskId
from protocols.kinds import TaskStatus
from protocols.ledger import Entry, Need, Standing
from protocols.plan import Plan
from protocols.resumption import Resumption

__all__ = ["make_entries", "make_standings"]


def make_entries(plan: Plan) -> list[Entry]:
    """One for each task, in the order of the plan."""
    return [
        Entry(
            id=task.id,
            needs=tuple(Need(need, task.on.get(need, "success")) for need in task.needs),
            labels=task.counted_as(),
            priority=task.priority,
            order=order,
            allow_failure=task.allow_failure,
        )
        for order, task in enumerate(plan.tasks)
    ]


def make_standings(plan: Plan, left: Resumption, now: float) -> list[Standing]:
    """Where each task of a run stands that an earlier supervisor has left; those that ended first, in that order.
    ``now``: Unix time."""
    services = {task.id for task in plan.tasks if task.restart.when != "never"}
    ended = {TaskId(exited.worker) for exited in left.ended}
    untold = {each.task for each in left.open if not each.told}
    begun = {each.task for each in left.open} | ended
    order = dict.fromkeys([task for task, _ in left.finished])
    order |= dict.fromkeys([*left.statuses, *(task.id for task in plan.tasks)])
    return [
        Standing(
            task=task,
            status=_status(task, left, begun, services),
            attempts=left.attempts.get(task, 0),
            open=task in begun,
            told=task not in untold,
            reason=left.failures[task].reason if task in left.retries and task in left.failures else "",
            pause=max(left.retries.get(task, now) - now, 0.0),
            keeps_slot=task in services,
        )
        for task in order
    ]


def _status(task: TaskId, left: Resumption, begun: Collection[TaskId], services: Collection[TaskId]) -> TaskStatus:
    if task in left.statuses:
        return left.statuses[task]
    if task in begun:
        return "running"
    if task in left.retries:
        return "restarting" if task in services else "retrying"
    return "pending"
