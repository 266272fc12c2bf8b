"""Makes a task for each item of what another one gave."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import trio

from actors.attempt_output import load_outputs
from actors.course import Course
from actors.template import TemplateError, render_text
from protocols.fan_out import ForEach, expand
from protocols.ids import TaskId
from protocols.ledger import Done, Grant, Ledger
from protocols.plan import Task
from protocols.plan_entries import make_entries
from protocols.resumption import Resumption
from protocols.task_events import TasksAdded
from protocols.task_output import TaskOutput
from protocols.templates import ITEM, path_texts, replace_paths
from protocols.wording import quote

__all__ = ["FanOuts", "Made"]


@dataclass(frozen=True, slots=True)
class Made:
    tasks: tuple[Task, ...] = ()
    refused: dict[TaskId, str] = field(default_factory=dict)
    """What is wrong with the items of some of them."""
    problem: str = ""
    """Why there are none, where that is a mistake."""


@dataclass(frozen=True, slots=True)
class FanOuts:
    """Of one run."""

    root: Path
    """Its folder, with the outputs of tasks."""
    limiter: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, 1))

    async def make(self, course: Course, group: Task, each: ForEach) -> Made:
        """The tasks for which ``group`` stands: always the same ones from the same outputs."""
        nested = course.tasks[each.source].for_each is not None
        make = partial(_make, group, each, course.given([each.source]), nested, self.root)
        return await trio.to_thread.run_sync(make, limiter=self.limiter, abandon_on_cancel=True)

    async def advance(self, course: Course, grant: Grant, ledger: Ledger, at: float) -> Done | None:
        """The end of a task for which nothing is run; None where there are tasks now for which it waits. ``at``: Unix
        time."""
        task = course.tasks[grant.task]
        if task.for_each is None or grant.extended:
            return course.conclude(grant)
        made = await self.make(course, task, task.for_each)
        if made.problem:
            return Done(grant=grant, status="failed", reason=made.problem)
        course.add(task.id, made.tasks, made.refused)
        names = course.made[task.id]
        added = TasksAdded(at=at, task=task.id, source=task.for_each.source, tasks=names)
        entries = {entry.id: entry for entry in make_entries(course.tasks.values(), {}, course.refused)}
        news = [entries[name] for name in names]
        course.tell(await ledger.submit(news, into=task.id, on="end", tell=[added]))
        return None

    async def make_again(self, course: Course, left: Resumption) -> None:
        """Give the course those that were made already, from the outputs that are kept with the run."""
        course.outputs |= left.outputs
        course.made |= left.made
        for name, known in left.made.items():
            group, kept = course.tasks[name], frozenset(known)
            if group.for_each is None:
                continue
            made = await self.make(course, group, group.for_each)
            tasks = {task.id: task for task in made.tasks if task.id in kept}
            why = f"its item is not there any more: {made.problem or 'the output is another one'}"
            lost = {task: why for task in known if task not in tasks}
            tasks |= {task: msgspec.structs.replace(group, id=task, for_each=None, needs=(), on={}) for task in lost}
            refused = {task: why for task, why in made.refused.items() if task in kept}
            course.add(name, [tasks[task] for task in known], refused | lost)


def _make(group: Task, each: ForEach, outputs: Sequence[TaskOutput], nested: bool, root: Path) -> Made:
    if not outputs and not nested:
        return Made(problem=f"{quote(each.source)} has not succeeded, so there are no items")
    try:
        value = load_outputs(root, outputs, (each.source,) if nested else ())[each.source]
    except ValueError as error:
        return Made(problem=str(error))
    found = expand(group.id, each, value)
    refused = {item.id: item.problem for item in found.items if item.problem}
    tasks = []
    for item in found.items:
        task = group
        if item.id not in refused and path_texts(group):
            try:
                task = replace_paths(group, partial(_render, {ITEM: item.value, "task": item.id}))
            except TemplateError as error:
                refused[item.id] = str(error)
        tasks.append(msgspec.structs.replace(task, id=item.id, item=item.value, for_each=None, needs=(), on={}))
    return Made(tuple(tasks), refused, found.problem)


def _render(names: dict[str, object], key: str, text: str) -> str:
    try:
        return render_text(text, names)
    except TemplateError as error:
        raise TemplateError(f"{key}: {error}") from error
