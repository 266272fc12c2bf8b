"""The budgets of a plan: of the run in its defaults, of roles, of tasks; and whether somebody could keep them."""

from collections.abc import Mapping, Sequence

from protocols.budget import Budget, BudgetOf, Kind
from protocols.plan import Plan, Task
from protocols.plan_roles import Role
from protocols.section import Section

__all__ = ["budgets_of", "check_budgets"]

_UNTOLD: Mapping[Kind, str] = {
    "cost": "a cost cannot be limited where no price is known, and of a command none is; write time or attempts",
    "tokens": "nobody tells the tokens of a command; write time or attempts",
}
_HEARING = 'nobody could tell it; give it source = "pty" or stdin = "pipe", or remove this key'


def budgets_of(plan: Plan) -> tuple[BudgetOf, ...]:
    """All of them, as their records tell them."""
    run = () if plan.budget is None else (BudgetOf("run", "", plan.budget),)
    roles = (BudgetOf("role", name, budget) for name, budget in plan.role_budgets.items())
    tasks = (BudgetOf("task", task.id, task.budget) for task in plan.tasks if task.budget is not None)
    return (*run, *roles, *tasks)


def check_budgets(
    tasks: Sequence[Task], sections: Sequence[Section], defaults: Role, roles: Mapping[str, Role]
) -> None:
    """``sections``: where the tasks were written. Mistakes are reported there."""
    for task, section in zip(tasks, sections, strict=True):
        _check(section, task.budget, [task])
        hears = task.source in {"pty", "tmux", "session"} or task.stdin.kind == "pipe"
        if task.budget is not None and task.budget.warning and not hears:
            section.reject("budget", f"warning: {_HEARING}")
    _check(defaults.section, defaults.budget, tasks)
    for name, role in roles.items():
        _check(role.section, role.budget, [task for task in tasks if task.role == name])


def _tells_use(task: Task) -> bool:
    """A session does, and an instance tells that of its sessions."""
    return task.prompting is not None or task.instance is not None


def _check(section: Section | None, budget: Budget | None, tasks: Sequence[Task]) -> None:
    """What only sessions tell needs one."""
    if section is None or budget is None or not tasks or any(_tells_use(task) for task in tasks):
        return
    for kind, why in _UNTOLD.items():
        if getattr(budget.hard, kind) is not None or getattr(budget.soft, kind) is not None:
            section.reject("budget", f"{kind}: {why}")
