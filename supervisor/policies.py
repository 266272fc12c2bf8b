"""What each worker of a plan may be silent for, before somebody says so."""

from collections.abc import Iterable

from protocols.ids import WorkerId
from protocols.plan import Task
from protocols.silence import Policy

__all__ = ["choose_policies"]


def choose_policies(tasks: Iterable[Task], heartbeat: float) -> dict[WorkerId, Policy]:
    """One object for all that agree. ``heartbeat``: seconds between two looks."""
    policies: dict[tuple[float, float], Policy] = {}
    return {
        WorkerId(task.id): policies.setdefault(
            (task.quiet_after, task.stalled_after),
            Policy.of(quiet_after=task.quiet_after, stalled_after=task.stalled_after, heartbeat=heartbeat),
        )
        for task in tasks
    }
