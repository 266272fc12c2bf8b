"""What is used up of each budget, as data and as a line for people."""

from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from protocols.accounts import Account
from protocols.budget import KINDS, BudgetOf, Kind, Scope, tell_amount, tell_spent
from protocols.fan_out import group_of

__all__ = ["BudgetLine", "budget_lines", "find_fullest", "tell_budgets"]


class BudgetLine(msgspec.Struct, frozen=True):
    """``name``: of the task or role, of a run it is empty. ``kind`` ``time`` is in seconds."""

    scope: Scope
    name: str
    kind: Kind
    spent: float
    soft: float | None
    """Where it is told that much is used."""
    hard: float | None
    """Where it is stopped."""


def budget_lines(accounts: Iterable[Account], now: float) -> tuple[BudgetLine, ...]:
    """``now`` in Unix time. Of a task with ``for_each`` nothing is used where its items have budgets of their own."""
    accounts = tuple(accounts)
    groups = {made[0] for account in accounts if (made := group_of(account.of.name)) is not None}
    return tuple(
        BudgetLine(account.of.scope, account.of.name, kind, round(account.spent(kind, now), 6), soft, hard)
        for account in accounts
        if account.of.scope != "task" or account.of.name not in groups
        for kind in KINDS
        for soft, hard in [(getattr(account.of.budget.soft, kind), getattr(account.of.budget.hard, kind))]
        if soft is not None or hard is not None
    )


def tell_budgets(lines: Iterable[BudgetLine]) -> Iterator[str]:
    """``budget of the run: time 1h2m of 2h, cost 1.2 of 5``. May hold control characters."""
    for (scope, name), group in groupby(lines, lambda line: (line.scope, line.name)):
        spent = [
            f"{line.kind} {tell_amount(line.kind, line.spent)}"
            if line.hard is None
            else tell_spent(line.kind, line.spent, line.hard)
            for line in group
        ]
        yield f"budget of {BudgetOf.label_of(scope, name)}: {', '.join(spent)}"


def find_fullest(lines: Iterable[BudgetLine]) -> tuple[float, str] | None:
    """Of those that are stopped the one that is nearest to it: how much of it is used, from 0, and in words, such as
    ``the run: cost 1.2 of 5``. May hold control characters."""
    shares = [(line.spent / line.hard, line, line.hard) for line in lines if line.hard]
    if not shares:
        return None
    share, line, hard = max(shares, key=lambda found: found[0])
    return share, f"{BudgetOf.label_of(line.scope, line.name)}: {tell_spent(line.kind, line.spent, hard)}"
