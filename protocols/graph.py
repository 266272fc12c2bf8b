"""What the needs of a plan mean as a whole: cycles, waves, the critical path."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from protocols.ids import TaskId

__all__ = ["critical_path", "find_cycles", "waves"]

Needs: TypeAlias = Mapping[TaskId, Sequence[TaskId]]
"""What each task needs, in the order of the plan. Every need is a key too."""


def find_cycles(needs: Needs, limit: int = 20) -> list[tuple[TaskId, ...]]:
    """Cycles without a common task, each as (a, b, c, a) where a needs b, first in the plan first.

    At least one of every knot of tasks that need each other is found, up to ``limit``.
    """
    position = {task: index for index, task in enumerate(needs)}
    rest = dict(needs)
    cycles: list[tuple[TaskId, ...]] = []
    while len(cycles) < limit:
        try:
            TopologicalSorter(rest).prepare()
            break
        except CycleError as error:
            loop: list[TaskId] = error.args[1][:0:-1]  # graphlib closes it, and lists needs before their dependents
        first = loop.index(min(loop, key=position.__getitem__))
        cycles.append((*loop[first:], *loop[:first], loop[first]))
        gone = set(loop)
        rest = {
            task: [need for need in wanted if need not in gone] for task, wanted in rest.items() if task not in gone
        }
    return sorted(cycles, key=lambda cycle: position[cycle[0]])


def waves(needs: Needs) -> tuple[tuple[TaskId, ...], ...]:
    """The tasks by when they could start at the earliest if all took equally long and none waited for a slot."""
    depth: dict[TaskId, int] = {}
    for task in TopologicalSorter(needs).static_order():
        depth[task] = max((depth[need] + 1 for need in needs[task]), default=0)
    found: list[list[TaskId]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for task in needs:
        found[depth[task]].append(task)
    return tuple(tuple(wave) for wave in found)


def critical_path(needs: Needs, weights: Mapping[TaskId, float] | None = None) -> tuple[TaskId, ...]:
    """The chain of needs with the greatest sum of weights, in the order in which it runs.

    Without ``weights`` each task counts one.
    """
    cost: dict[TaskId, float] = {}
    before: dict[TaskId, TaskId | None] = {}
    for task in TopologicalSorter(needs).static_order():
        before[task] = max(needs[task], key=cost.__getitem__, default=None)
        need = before[task]
        cost[task] = (1.0 if weights is None else weights[task]) + (0.0 if need is None else cost[need])
    path: list[TaskId] = []
    step = max(needs, key=cost.__getitem__, default=None)
    while step is not None:
        path.append(step)
        step = before[step]
    return tuple(reversed(path))
