"""Which task may start now: order by needs, skip after failures, and the caps on how many run."""

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from protocols.ids import TaskId
from protocols.needs import Condition

__all__ = ["Admission", "Graph", "critical_path", "find_cycles", "waves"]

Needs: TypeAlias = Mapping[TaskId, Sequence[TaskId]]
"""What each task needs, in the order of the plan. Every need is a key too."""


class Skip(msgspec.Struct, frozen=True):
    """A task that will not run."""

    task: TaskId
    need: TaskId
    """The need of this task that did not end as it has to, or was itself skipped."""
    cause: TaskId
    """The task with which that began. The same as ``need`` for its direct dependents."""


class Step(msgspec.Struct, frozen=True):
    """What the end of one task changes, in the order of the plan."""

    ready: tuple[TaskId, ...] = ()
    skipped: tuple[Skip, ...] = ()


class Graph:
    """The needs of a run, fed with outcomes. A task is told to be ready, or skipped, exactly once.

    ``needs`` has no cycle. A failure of a task in ``allow_failure`` is as good as a success, too. ``on``: by task and
    need, where that has to have another end than success.
    """

    def __init__(
        self,
        needs: Needs,
        allow_failure: Collection[TaskId] = (),
        on: Mapping[TaskId, Mapping[TaskId, Condition]] = MappingProxyType({}),
    ) -> None:
        self._on = on
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
        return self._settle(task, ok)

    def _settle(self, task: TaskId, ok: bool) -> Step:
        ready: list[TaskId] = []
        skipped: list[Skip] = []
        ended = deque([task])
        while ended:
            need = ended.popleft()
            for dependent in self._dependents[need]:
                if dependent in self._closed:
                    continue
                if not self._is_met(dependent, need, ok if need == task else None):
                    self._closed.add(dependent)
                    skipped.append(Skip(dependent, need, task))
                    ended.append(dependent)
                    continue
                self._missing[dependent].discard(need)
                if not self._missing[dependent]:
                    ready.append(dependent)
        self._running.update(ready)
        position = self._position
        return Step(
            tuple(sorted(ready, key=position.__getitem__)),
            tuple(sorted(skipped, key=lambda skip: position[skip.task])),
        )

    def _is_met(self, task: TaskId, need: TaskId, ok: bool | None) -> bool:
        """``ok``: how the need ended; None: it was skipped."""
        match self._on.get(task, {}).get(need, "success"):
            case "success":
                return ok is True or (ok is False and need in self._allowed)
            case "failure":
                return ok is False
            case "end":
                return True


class Admission:
    """Who of the ready tasks runs: never more than ``total``, nor than the ``caps`` of their labels.

    Tasks wait here for a slot, those of the greatest priority first, then the first in ``order``. Between `take` and
    `release` a task holds its slot. Nothing here awaits, so a cap cannot be passed between a check and a start.
    """

    def __init__(
        self,
        order: Iterable[TaskId],
        total: int,
        labels: Mapping[TaskId, Iterable[str]],
        caps: Mapping[str, int],
        priorities: Mapping[TaskId, int] = MappingProxyType({}),
    ) -> None:
        self._position = {task: (-priorities.get(task, 0), index) for index, task in enumerate(order)}
        self._lane = {task: tuple(label for label in said if label in caps) for task, said in labels.items()}
        self._free = dict(caps)
        self._queues: dict[tuple[str, ...], list[tuple[tuple[int, int], TaskId]]] = {(): []}
        self._queues.update({lane: [] for lane in self._lane.values()})
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
            heappush(self._queues[self._lane.get(task, ())], (self._position[task], task))
        started: list[TaskId] = []
        while len(started) < most and (queue := self._next_queue()):
            _, task = heappop(queue)
            self._waiting.discard(task)
            self._running.add(task)
            self._count(task, -1)
            started.append(task)
        return started

    def hold(self, task: TaskId) -> None:
        """This one runs already, whatever the caps say. Raises ValueError for a task that waits or runs."""
        if task in self._running or task in self._waiting:
            raise ValueError(f"task {task!r} waits or runs already")
        self._running.add(task)
        self._count(task, -1)

    def held(self) -> list[TaskId]:
        """Who waits although there is a slot, in order: those that `take` would return now."""
        free, room = dict(self._free), self._total - len(self._running)
        held: list[TaskId] = []
        for _, task in sorted(entry for queue in self._queues.values() for entry in queue):
            lane = self._lane.get(task, ())
            if len(held) < room and all(free[label] > 0 for label in lane):
                for label in lane:
                    free[label] -= 1
                held.append(task)
        return held

    def release(self, task: TaskId) -> None:
        """Give the slot of this task back. Raises ValueError if it holds none."""
        if task not in self._running:
            raise ValueError(f"task {task!r} holds no slot")
        self._running.discard(task)
        self._count(task, 1)

    def _count(self, task: TaskId, by: int) -> None:
        for label in self._lane.get(task, ()):
            self._free[label] += by

    def _next_queue(self) -> list[tuple[tuple[int, int], TaskId]] | None:
        if len(self._running) >= self._total:
            return None
        queues = (
            queue for lane, queue in self._queues.items() if queue and all(self._free[label] > 0 for label in lane)
        )
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
