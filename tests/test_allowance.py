"""Who may have another attempt, as far as budgets go."""

from protocols.allowance import Allowance
from protocols.budget import Amounts, Budget, BudgetOf
from protocols.ids import TaskId
from protocols.plan import Task

LIMITED = Budget(hard=Amounts(attempts=3))


def made(name: str, role: str | None = None) -> Task:
    return Task(id=TaskId(name), command=("true",), role=role)


TASKS = {task.id: task for task in (made("a", "r"), made("b", "r"), made("c"), made("each"), made("each[x]"))}
A, B, C, X = (TASKS[TaskId(name)] for name in ("a", "b", "c", "each[x]"))


def attempts(**counts: int) -> dict[TaskId, int]:
    return {TaskId(name): count for name, count in counts.items()}


def test_without_budgets_everybody_may() -> None:
    assert Allowance().refuse(A, TASKS, attempts(a=1000)) == ""


def test_attempts_of_a_task_of_a_role_and_of_a_run_are_counted_apart() -> None:
    of_task = Allowance((BudgetOf("task", "a", LIMITED),))
    of_role = Allowance((BudgetOf("role", "r", LIMITED),))
    of_run = Allowance((BudgetOf("run", "", LIMITED),))
    begun = attempts(a=1, b=2, c=5)

    assert of_task.refuse(A, TASKS, begun) == ""
    assert of_role.refuse(A, TASKS, begun) == 'budget of role "r": attempts 3 of 3'
    assert of_role.refuse(C, TASKS, begun) == ""
    assert of_run.refuse(C, TASKS, attempts(a=1, c=2)) == "budget of the run: attempts 3 of 3"


def test_one_that_is_counted_and_not_started_yet_may_start() -> None:
    of_task = Allowance((BudgetOf("task", "a", LIMITED),))

    assert of_task.refuse(A, TASKS, attempts(a=3), begun=1) == ""
    assert of_task.refuse(A, TASKS, attempts(a=4), begun=1) == 'budget of task "a": attempts 3 of 3'


def test_what_others_say_is_used_up_is_refused_with_their_first_word() -> None:
    allowance = Allowance((BudgetOf("role", "r", Budget(hard=Amounts(tokens=5))),))

    allowance.exceed("role", "r", "all tokens")
    allowance.exceed("role", "r", "more than all")

    assert [allowance.refuse(task, TASKS, {}) for task in (A, B, C)] == ["all tokens", "all tokens", ""]


def test_each_task_that_was_made_for_an_item_has_a_budget_of_its_own() -> None:
    allowance = Allowance((BudgetOf("task", "each", LIMITED),))
    others = {TaskId("each[y]"): 3}

    assert allowance.refuse(X, TASKS, others) == ""
    allowance.exceed("task", "each[y]", "all of y")
    assert allowance.refuse(X, TASKS, others) == ""
    allowance.exceed("task", "each[x]", "all of x")
    assert allowance.refuse(X, TASKS, others) == "all of x"
