"""Which task may start now: order by needs, skip after failures, and the caps on how many run."""

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import TypeAlias

import msgspec

from protocols.ids import TaskId

__all__ = ["Admission", "Graph", "critical_path", "find_cycles", "waves"]

Needs: TypeAlias = Mapping[TaskId, Sequence[TaskId]]
"""What each task needs, in the order of the plan. Every need is a key too."""


class Skip(msgspec.Struct, frozen=True):
    """A task that will not run."""

    task: TaskId
    need: TaskId
    """The need of this task that failed, or was itself skipped."""
    cause: TaskId
    """The task that failed. The same as ``need`` for its direct dependents."""


class Step(msgspec.Struct, frozen=True):
    """What the end of one task changes, in the order of the plan."""

    ready: tuple[TaskId, ...] = ()
    skipped: tuple[Skip, ...] = ()


class Graph:
    """The needs of a run, fed with outcomes. A task is told to be ready, or skipped, exactly once.

    ``needs`` has no cycle. A failure of a task in ``allow_failure`` stops nobody.
    """

    def __init__(self, needs: Needs, allow_failure: Collection[TaskId] = ()) -> None:
        self._position = {task: index for index, task in enumerate(needs)}
        self._allowed = frozenset(allow_failure)
        self._missing = {task: set(wanted) for task, wanted in needs.items()}
        self._dependents: dict[TaskId, list[TaskId]] = {task: [] for task in needs}
        for task, wanted in self._missing.items():
            for need in wanted:
                self._dependents[need].append(task)
        self._first = tuple(task for task, wanted in self._missing.items() if not wanted)
        self._running = set(self._first)
        self._closed: set[TaskId] = set()

    @property
    def unfinished(self) -> tuple[TaskId, ...]:
        """The tasks that have neither finished nor been skipped."""
        return tuple(task for task in self._position if task not in self._closed)

    def ready(self) -> tuple[TaskId, ...]:
        """The tasks that need nothing: where a run begins."""
        return self._first

    def finish(self, task: TaskId, ok: bool) -> Step:
        """Take in the outcome of a task, after its last attempt.

        Raises ValueError for a task that was not ready, or has finished before.
        """
        if task not in self._running:
            raise ValueError(f"task {task!r} was not ready, or has finished before")
        self._running.discard(task)
        self._closed.add(task)
        if ok or task in self._allowed:
            return Step(ready=self._satisfy(task))
        return Step(skipped=self._skip_after(task))

    def _satisfy(self, task: TaskId) -> tuple[TaskId, ...]:
        ready = []
        for dependent in self._dependents[task]:
            self._missing[dependent].discard(task)
            if not self._missing[dependent] and dependent not in self._closed:
                ready.append(dependent)
        self._running.update(ready)
        return tuple(ready)

    def _skip_after(self, task: TaskId) -> tuple[Skip, ...]:
        skipped = []
        pending = deque([task])
        while pending:
            need = pending.popleft()
            for dependent in self._dependents[need]:
                if dependent not in self._closed:
                    self._closed.add(dependent)
                    skipped.append(Skip(dependent, need, task))
                    pending.append(dependent)
        return tuple(sorted(skipped, key=lambda skip: self._position[skip.task]))


class Admission:
    """Who of the ready tasks runs: never more than ``total``, nor than the cap of a role.

    Tasks wait here for a slot, the first in ``order`` first. Between `take` and `release` a task
    holds its slot. Nothing here awaits, so a cap cannot be passed between a check and a start.
    """

    def __init__(
        self, order: Iterable[TaskId], total: int, roles: Mapping[TaskId, str | None], caps: Mapping[str, int]
    ) -> None:
        self._position = {task: index for index, task in enumerate(order)}
        self._lane = {task: role if role in caps else None for task, role in roles.items()}
        self._free: dict[str | None, int] = {None: total}
        self._free.update(caps)
        self._queues: dict[str | None, list[tuple[int, TaskId]]] = {lane: [] for lane in self._free}
        self._total = total
        self._running: set[TaskId] = set()
        self._waiting: set[TaskId] = set()

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, ready: Iterable[TaskId] = (), most: float = math.inf) -> list[TaskId]:
        """Let these tasks wait too, and return those that start now, ``most`` of them. Each of them holds a slot.

        Raises ValueError for a task that waits or runs already.
        """
        for task in ready:
            if task in self._running or task in self._waiting:
                raise ValueError(f"task {task!r} waits or runs already")
            self._waiting.add(task)
            heappush(self._queues[self._lane.get(task)], (self._position[task], task))
        started: list[TaskId] = []
        while len(started) < most and (queue := self._next_queue()):
            _, task = heappop(queue)
            self._waiting.discard(task)
            self._running.add(task)
            self._free[self._lane.get(task)] -= 1
            started.append(task)
        return started

    def hold(self, task: TaskId) -> None:
        """This one runs already, whatever the caps say. Raises ValueError for a task that waits or runs."""
        if task in self._running or task in self._waiting:
            raise ValueError(f"task {task!r} waits or runs already")
        self._running.add(task)
        self._free[self._lane.get(task)] -= 1

    def held(self) -> list[TaskId]:
        """Who waits although there is a slot, in order: those that `take` would return now."""
        free, room = dict(self._free), self._total - len(self._running)
        held: list[TaskId] = []
        for _, task in sorted(entry for queue in self._queues.values() for entry in queue):
            lane = self._lane.get(task)
            if len(held) < room and free[lane] > 0:
                free[lane] -= 1
                held.append(task)
        return held

    def release(self, task: TaskId) -> None:
        """Give the slot of this task back. Raises ValueError if it holds none."""
        if task not in self._running:
            raise ValueError(f"task {task!r} holds no slot")
        self._running.discard(task)
        self._free[self._lane.get(task)] += 1

    def _next_queue(self) -> list[tuple[int, TaskId]] | None:
        if len(self._running) >= self._total:
            return None
        queues = (queue for lane, queue in self._queues.items() if queue and self._free[lane] > 0)
        return min(queues, key=lambda queue: queue[0], default=None)


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
