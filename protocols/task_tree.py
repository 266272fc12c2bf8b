"""All tasks of a run and of its instances, by names such as ``build/itp-7``."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from protocols.ids import RunId, TaskId
from protocols.instance_records import join
from protocols.states import OPEN, RunView, TaskView

__all__ = ["Leaf", "count_tree", "walk"]


class Leaf(NamedTuple):
    name: str
    """From the run at which we look."""
    way: tuple[tuple[TaskId, RunId], ...]
    """The instances that lead to it, each with its run."""
    task: TaskView


def walk(view: RunView) -> Iterator[Leaf]:
    """Those of an instance stand behind the task that it is."""
    yield from _walk(view, view, "", ())


def _walk(root: RunView, view: RunView, path: str, way: tuple[tuple[TaskId, RunId], ...]) -> Iterator[Leaf]:
    for task in view.tasks.values():
        name = join(path, task.id)
        yield Leaf(name, way, task)
        below = root.instances.get(name)
        if below is not None and below.run is not None:
            ended = task.status not in OPEN
            for leaf in _walk(root, below, name, (*way, (task.id, below.run))):
                yield leaf._replace(task=_cut_off(leaf.task)) if ended and leaf.task.status in OPEN else leaf


def _cut_off(task: TaskView) -> TaskView:
    """Of an instance that is gone before it could say how this one ended."""
    return replace(task, status="stopped", reason="its callboard was killed", retry_at=None)


def count_tree(view: RunView) -> dict[str, int]:
    """How many tasks of the run and all below have which status."""
    counts: dict[str, int] = {}
    for leaf in walk(view):
        counts[leaf.task.status] = counts.get(leaf.task.status, 0) + 1
    return counts
