"""Whether a task may have another attempt, as far as budgets go."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from protocols.budget import BudgetOf, Scope, tell_spent
from protocols.fan_out import group_of
from protocols.ids import TaskId
from protocols.plan import Task

__all__ = ["Allowance"]


@dataclass(slots=True)
class Allowance:
    """Of a run. How often each task was begun tells who starts them; what else is used up, others tell."""

    budgets: tuple[BudgetOf, ...] = ()
    _over: dict[tuple[Scope, str], str] = field(default_factory=dict)

    def exceed(self, scope: Scope, name: str, reason: str) -> None:
        """From now on nothing that belongs to it may start. ``name``: of the task or role, of a run it is empty."""
        self._over.setdefault((scope, name), reason)

    def refuse(self, task: Task, tasks: Mapping[TaskId, Task], attempts: Mapping[TaskId, int], begun: int = 0) -> str:
        """Why no attempt of it may be started; empty where one may. ``attempts`` of all ``tasks`` that were counted,
        with ``begun`` of this one that are not started yet."""
        for of in self._of(task):
            if (of.scope, task.id if of.scope == "task" else of.name) in self._over:
                return self._over[of.scope, task.id if of.scope == "task" else of.name]
            most = of.budget.hard.attempts
            if most is None:
                continue
            counted = [task.id] if of.scope == "task" else attempts
            mine = (attempts.get(each, 0) for each in counted if of.scope != "role" or tasks[each].role == of.name)
            if sum(mine) - begun >= most:  # it may be more: those that were refused count too
                return f"budget of {of.label}: {tell_spent('attempts', most, most)}"
        return ""

    def _of(self, task: Task) -> Iterator[BudgetOf]:
        made = group_of(task.id)
        names = {"task": task.id if made is None else made[0], "role": task.role, "run": ""}
        return (of for of in self.budgets if of.name == names[of.scope])
