"""What the ledger is told of a plan."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from protocols.fan_out import planned
from protocols.ids import TaskId
from protocols.kinds import TaskStatus
from protocols.ledger import Entry, Need, Standing
from protocols.plan import Task
from protocols.resumption import Resumption

__all__ = ["make_entries", "make_standings"]


def make_entries(
    tasks: Iterable[Task], made: Mapping[TaskId, Sequence[TaskId]], refused: Collection[TaskId], *, behind: int = 0
) -> list[Entry]:
    """One for each task, in the order of the plan, those that were made for items at the place for which they stand.

    ``made``: by the tasks that stand for others. ``refused``: nothing is run for these. ``behind``: so many others.
    """
    places: dict[TaskId, int] = {}
    return [
        Entry(
            id=task.id,
            needs=(
                *(Need(need, task.on.get(need, "success")) for need in task.needs),
                *(Need(item, "end") for item in made.get(task.id, ())),
            ),
            labels=task.counted_as(),
            priority=task.priority,
            order=behind + places.setdefault(planned(task.id), len(places)),
            allow_failure=task.allow_failure,
            slots=0 if task.for_each is not None or task.id in refused else 1,
        )
        for task in tasks
    ]


def make_standings(tasks: Collection[Task], left: Resumption, now: float) -> list[Standing]:
    """Where each task of a run stands that an earlier supervisor has left; those that ended first, in that order.
    ``now``: Unix time."""
    services = {task.id for task in tasks if task.restart.when != "never"}
    ended = {TaskId(exited.worker) for exited in left.ended}
    untold = {each.task for each in left.open if not each.told}
    begun = {each.task for each in left.open} | ended
    order = dict.fromkeys([task for task, _ in left.finished])
    order |= dict.fromkeys([*left.statuses, *(task.id for task in tasks)])
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
            extended=task in left.made,
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
    return "running" if task in left.made else "pending"
