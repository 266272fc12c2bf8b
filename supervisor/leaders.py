"""The workers of a run that may live, as its records tell."""

from protocols.states import RunView
from supervisor.machine import boot_id, pid_namespace

__all__ = ["find_leaders"]


def find_leaders(view: RunView, *, borrowed: bool = False) -> list[tuple[int, int]]:
    """Workers without a recorded end, by pid and start time, where a pid means the same to us.

    Those that somebody else started, and that are not ours to end, only if they are wanted too (``borrowed``).
    """
    attempts = [each for task in view.tasks.values() for each in task.attempts if borrowed or each.is_ours]
    started = [each.started for each in attempts if each.started and not each.exited]
    return [
        (each.pid, each.start_ticks)
        for each in started
        if each.boot_id == boot_id() and each.pid_namespace == pid_namespace()
    ]
