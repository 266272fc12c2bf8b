"""What is used up of budgets, and when that is told."""

from collections.abc import Iterable
from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.accounts import Accounts
from protocols.budget import Amounts, Budget, BudgetExceeded, BudgetOf, BudgetWarned
from protocols.budget_lines import budget_lines, tell_budgets
from protocols.errors import PlanError
from protocols.events import Event, InstanceLinked, InstanceRecord, RunResumed
from protocols.ids import RunId, TaskId, WorkerId
from protocols.plan import Plan
from protocols.plan_budgets import budgets_of
from protocols.plan_parser import parse_plan
from protocols.session_events import SessionUsage
from tests.made_fleets import AT, exited, run_started, started, starting

LIMITS = Budget(hard=Amounts(time=100.0, tokens=1000, cost=2.0), soft=Amounts(time=80.0, tokens=800))


def accounts_of(*budgets: BudgetOf, roles: dict[str, str] | None = None, events: Iterable[Event] = ()) -> Accounts:
    names = {TaskId(task): role for task, role in (roles or {}).items()}
    made = Accounts()
    for event in (msgspec.structs.replace(run_started("a", "b"), budgets=budgets, roles=names), *events):
        made.apply(event)
    return made


def used(tokens: int, cost: float = 0.5, task: str = "a", attempt: int = 1) -> SessionUsage:
    return SessionUsage(at=AT, worker=WorkerId(task), attempt=attempt, session="s", input=tokens, cost=cost)


def reasons(accounts: Accounts, now: float = AT) -> list[str]:
    return [breach.reason for account in accounts.all for breach in account.breaches(now)]


def plan_of(text: str) -> Plan:
    return parse_plan(text, "x.toml")


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(PlanError) as info:
        plan_of(text)
    return info.value.problems


def test_tokens_and_cost_of_all_attempts_are_added_up_and_totals_are_not_counted_twice() -> None:
    accounts = accounts_of(BudgetOf("task", "a", LIMITS))

    for usage in (used(300), used(500), used(200, 0.25, attempt=2), used(900, task="b")):
        accounts.apply(usage)

    (account,) = accounts.all
    assert (account.tokens, account.cost) == (700, 0.75)
    assert reasons(accounts) == []


def _below(path: str, usage: SessionUsage, number: int = 1) -> InstanceRecord:
    worker = WorkerId(path.partition("/")[0])
    return InstanceRecord(at=AT, worker=worker, path=path, numbers=(number,), event=usage)


def test_what_sessions_of_instances_use_counts_for_the_task_that_is_the_instance() -> None:
    accounts = accounts_of(BudgetOf("task", "a", LIMITS), BudgetOf("run", "", LIMITS))
    linked = InstanceLinked(at=AT, worker=WorkerId("a"), attempt=1, run=RunId("r1"))
    anew = msgspec.structs.replace(linked, attempt=2, run=RunId("r2"))

    for event in (
        *(linked, _below("a", used(300, task="x")), _below("a", used(400, task="x"))),
        _below("a/b", used(100, 0.25, task="x")),
        *(anew, _below("a", used(50, 0.25, task="x"))),
    ):
        accounts.apply(event)

    assert [(account.tokens, account.cost) for account in accounts.all] == [(550, 1.0)] * 2


def test_the_time_of_a_task_is_that_of_its_attempts_together() -> None:
    accounts = accounts_of(BudgetOf("task", "a", LIMITS))
    for event in (starting("a"), started("a", at=AT), starting("a", 2)):
        accounts.apply(event)
    accounts.apply(msgspec.structs.replace(exited("a"), ended_at=AT + 30))
    accounts.apply(started("a", 2, at=AT + 100))

    (account,) = accounts.all
    assert account.spent("time", AT + 110) == 40.0
    assert account.attempts == 2
    assert account.due(AT + 110) == AT + 150
    assert reasons(accounts, AT + 149) == []
    assert reasons(accounts, AT + 150) == ['budget of task "a": time 1m20s so far']


def test_nothing_is_due_once_all_of_the_time_is_used_whatever_was_told_before() -> None:
    accounts = accounts_of(BudgetOf("task", "a", LIMITS), events=[starting("a"), started("a", at=AT)])
    (account,) = accounts.all
    assert account.due(AT + 500) == AT + 500

    reason = {"spent": 500.0, "limit": 100.0, "reason": ""}
    accounts.apply(BudgetExceeded(at=AT, scope="task", name="a", kind="time", **reason))  # type: ignore[arg-type] # the test names the field
    assert account.due(AT + 500) == inf


def test_an_attempt_that_was_refused_is_none() -> None:
    accounts = accounts_of(BudgetOf("task", "a", Budget(hard=Amounts(attempts=1))))
    refused = msgspec.structs.replace(exited("a", 2), reason="budget", started_at=None)
    for event in (starting("a"), started("a"), exited("a"), starting("a", 2), refused):
        accounts.apply(event)

    assert accounts.all[0].attempts == 1


def test_what_is_reached_is_told_once_and_hard_before_soft() -> None:
    accounts = accounts_of(BudgetOf("run", "", LIMITS))
    accounts.apply(used(900))
    assert reasons(accounts) == ["budget of the run: tokens 900 so far"]

    accounts.apply(BudgetWarned(at=AT, scope="run", name="", kind="tokens", spent=900, limit=800, reason=""))
    assert reasons(accounts) == []

    accounts.apply(used(1200))
    assert reasons(accounts_of(BudgetOf("run", "", LIMITS), events=[used(1200)])) == reasons(accounts)
    assert reasons(accounts) == ["budget of the run: tokens 1200 of 1000"]
    accounts.apply(BudgetExceeded(at=AT, scope="run", name="", kind="tokens", spent=1200, limit=1000, reason=""))
    assert reasons(accounts) == []
    assert accounts.all[0].excess(AT) == "budget of the run: tokens 1200 of 1000"


def test_the_tasks_of_a_role_share_its_budget_those_made_for_items_too() -> None:
    budget = BudgetOf("role", "r", Budget(hard=Amounts(tokens=100)))
    accounts = accounts_of(budget, roles={"a": "r", "made": "r"})

    for usage in (used(40), used(40, task="made[x]"), used(1000, task="b")):
        accounts.apply(usage)

    assert accounts.all[0].tokens == 80


def test_each_task_that_was_made_for_an_item_has_its_own_budget() -> None:
    accounts = accounts_of(BudgetOf("task", "made", Budget(hard=Amounts(tokens=100))))

    accounts.apply(used(60, task="made[x]"))
    accounts.apply(used(160, task="made[y]"))

    assert {each.of.name: each.tokens for each in accounts.all} == {"made": 0, "made[x]": 60, "made[y]": 160}
    assert reasons(accounts) == ['budget of task "made[y]": tokens 160 of 100']


def test_a_cost_cannot_be_limited_where_the_server_tells_no_price() -> None:
    accounts = accounts_of(BudgetOf("task", "a", LIMITS))

    accounts.apply(used(12, 0.0))

    assert len(reasons(accounts)) == 1
    assert reasons(accounts)[0].startswith('budget of task "a": its server tells no price for 12 tokens')


def test_a_run_uses_no_time_while_it_has_no_supervisor() -> None:
    accounts = accounts_of(BudgetOf("run", "", LIMITS))
    accounts.apply(starting("a", at=AT + 10))
    accounts.apply(RunResumed(at=AT + 1000, epoch=2, pid=1, version="1"))

    (account,) = accounts.all
    assert account.spent("time", AT + 1020) == 30.0


def test_a_run_without_budgets_keeps_nothing() -> None:
    accounts = accounts_of(events=[starting("a"), used(10)])

    assert (accounts.all, accounts.apply(used(20))) == ([], False)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(0, 1000)), max_size=40))
def test_the_run_has_used_what_its_tasks_have(usages: list[tuple[str, int, int]]) -> None:
    limits = [BudgetOf("task", name, LIMITS) for name in "ab"]
    accounts = accounts_of(BudgetOf("run", "", LIMITS), *limits)
    for task, attempt, tokens in usages:
        accounts.apply(used(tokens, task=task, attempt=attempt))

    run, *tasks = accounts.all
    assert run.tokens == sum(each.tokens for each in tasks)
    assert all(account.due(AT) <= inf for account in accounts.all)


def test_what_is_used_is_told_in_a_line_for_each_budget() -> None:
    budget = Budget(hard=Amounts(time=7200.0, attempts=4), soft=Amounts(cost=1.5))
    accounts = accounts_of(BudgetOf("run", "", budget), BudgetOf("task", "a", LIMITS), events=[starting("a")])

    assert list(tell_budgets(budget_lines(accounts.all, AT + 62))) == [
        "budget of the run: time 1m2s of 2h, attempts 1 of 4, cost 0",
        'budget of task "a": time <1ms of 1m40s, tokens 0 of 1000, cost 0 of 2',
    ]


def test_the_budget_of_each_item_is_told_and_not_that_of_all_for_which_nothing_counts() -> None:
    budget = Budget(hard=Amounts(attempts=4))
    accounts = accounts_of(BudgetOf("task", "b", budget), events=[starting("b[x]")])

    assert list(tell_budgets(budget_lines(accounts.all, AT))) == ['budget of task "b[x]": attempts 1 of 4']


def test_a_plan_says_budgets_of_the_run_of_roles_and_of_tasks() -> None:
    plan = plan_of(
        """
        [agents.x]
        command = ["opencode"]
        [defaults]
        budget = { time = "2h", cost = 5 }
        [roles.r]
        budget = { attempts = 10, soft = { tokens = 500 } }
        [[tasks]]
        id = "a"
        role = "r"
        agent = "x"
        prompt = "Do it."
        budget = { tokens = 2_000_000 }
        """
    )

    assert budgets_of(plan) == (
        BudgetOf("run", "", Budget(hard=Amounts(time=7200.0, cost=5), soft=Amounts(time=5760.0, cost=4.0))),
        BudgetOf("role", "r", Budget(hard=Amounts(attempts=10), soft=Amounts(tokens=500))),
        BudgetOf("task", "a", Budget(hard=Amounts(tokens=2_000_000), soft=Amounts(tokens=1_600_000))),
    )


def test_mistakes_in_budgets_are_told_all_at_once() -> None:
    none = "a cost cannot be limited where no price is known, and of a command none is; write time or attempts"
    order = "is not below the limit at which it is stopped; make it smaller, or remove it"
    hearing = 'warning: nobody could tell it; give it source = "pty" or stdin = "pipe", or remove this key'
    assert mistakes(
        """
        [defaults]
        budget = { cost = 1.5 }
        [[tasks]]
        id = "a"
        command = ["true"]
        budget = { tokens = 10, soft = { tokens = 10 }, warning = "x" }
        [[tasks]]
        id = "b"
        command = ["true"]
        budget = { tokens = 1.5, cost = -1, times = 3, attempts = 0, time = 5 }
        [[tasks]]
        id = "c"
        command = ["true"]
        budget = {}
        """
    ) == (
        f"x.toml: tasks[0].budget.soft.tokens: {order}",
        'x.toml: tasks[1].budget.times: no such key; did you mean "time"?',
        "x.toml: tasks[1].budget.tokens: expected a whole number, got a decimal number",
        'x.toml: tasks[1].budget.time: expected a duration, got a number; write "5s"',
        "x.toml: tasks[1].budget.attempts: out of range; write a number from 1 to 1000000",
        "x.toml: tasks[1].budget.cost: out of range; write a number above 0, up to 1000000000000000",
        "x.toml: tasks[2].budget: limits nothing; write some of time, attempts, tokens and cost",
        "x.toml: tasks[0].budget: tokens: nobody tells the tokens of a command; write time or attempts",
        f"x.toml: tasks[0].budget: {hearing}",
        f"x.toml: defaults.budget: cost: {none}",
    )
