"""What a task, the tasks of a role or a run may use up: what a plan says of that, and what is told of it."""

from typing import Literal, TypeAlias

import msgspec

from protocols.bases import BaseEvent
from protocols.durations import format_duration, format_elapsed
from protocols.section import Section

__all__ = [
    "Amounts",
    "Budget",
    "BudgetEvent",
    "BudgetExceeded",
    "BudgetOf",
    "BudgetWarned",
    "Kind",
    "Scope",
    "read_budget",
]

Scope: TypeAlias = Literal["task", "role", "run"]
Kind: TypeAlias = Literal["time", "attempts", "tokens", "cost"]
KINDS: tuple[Kind, ...] = ("time", "attempts", "tokens", "cost")
_SOFT = 0.8
_LONGEST_WARNING = 1000


class Amounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """None where there is no limit."""

    time: float | None = None
    """Seconds: of a run since its start, without those in which it had no supervisor; else of all attempts together."""
    attempts: int | None = None
    tokens: int | None = None
    """Of models, in both directions, those from caches included."""
    cost: float | None = None
    """In the currency of the server's price list."""


class Budget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    hard: Amounts = Amounts()
    """Who has used so much is stopped."""
    soft: Amounts = Amounts()
    """That so much is used is told."""
    warning: str = ""
    """What the worker of a task is told then; empty: nothing."""


class BudgetOf(msgspec.Struct, frozen=True):
    """``name``: of the task or of the role; of a run it is empty."""

    scope: Scope
    name: str
    budget: Budget

    @property
    def label(self) -> str:
        return self.label_of(self.scope, self.name)

    @staticmethod
    def label_of(scope: Scope, name: str) -> str:
        return "the run" if scope == "run" else f'{scope} "{name}"'


class BudgetEvent(BaseEvent, frozen=True, kw_only=True):
    scope: Scope
    name: str
    kind: Kind
    spent: float
    limit: float
    reason: str
    """For people."""


class BudgetWarned(BudgetEvent, frozen=True, kw_only=True, tag="budget.warned"):
    """So much is used that it is to be told. Once for each kind."""


class BudgetExceeded(BudgetEvent, frozen=True, kw_only=True, tag="budget.exceeded"):
    """All is used: what belongs to it is stopped, and nothing of it is started again. Once for each kind."""


def tell_amount(kind: Kind, amount: float) -> str:
    """``1h30m``, ``3``, ``2000000`` or ``4.0210``."""
    match kind:
        case "time":
            return format_elapsed(amount)
        case "cost":
            return f"{amount:.4f}".rstrip("0").rstrip(".") if amount >= 0.0001 or not amount else f"{amount:g}"
        case "attempts" | "tokens":
            return f"{amount:.0f}"


def tell_spent(kind: Kind, spent: float, limit: float) -> str:
    """``tokens 2100000 of 2000000``."""
    most = format_duration(limit) if kind == "time" else tell_amount(kind, limit)
    return f"{kind} {tell_amount(kind, spent)} of {most}"


def read_budget(section: Section, *, warns: bool) -> Budget | None:
    """The key ``budget``. ``warns``: there is a worker that can be told."""
    table = section.table("budget", '{ time = "2h" }')
    if table is None:
        return None
    table.check_keys((*KINDS, "soft", *(("warning",) if warns else ())), {})
    hard, below = _read_amounts(table), table.table("soft", '{ time = "1h" }')
    soft = _most_of(hard)
    if below is not None:
        below.check_keys(KINDS, {})
        soft = _read_amounts(below)
        _check_order(below, soft, hard)
    if not any(kind in each for each in (table, below) if each is not None for kind in KINDS):
        section.reject("budget", "limits nothing; write some of time, attempts, tokens and cost")
    warning = table.text("warning") if warns else None
    if warning is not None and len(warning.encode()) > _LONGEST_WARNING:
        table.reject("warning", f"longer than {_LONGEST_WARNING} bytes, which agents take for a paste; write less")
    return Budget(hard=hard, soft=soft, warning=warning or "")


def _read_amounts(table: Section) -> Amounts:
    tokens = table.number("tokens", whole=True)
    return Amounts(
        time=table.duration("time", zero=False),
        attempts=table.count("attempts", 1),
        tokens=None if tokens is None else int(tokens),
        cost=table.number("cost"),
    )


def _most_of(hard: Amounts) -> Amounts:
    """Where it is told if nothing is said of that. The last attempt is nothing to warn of."""
    return Amounts(
        time=None if hard.time is None else hard.time * _SOFT,
        tokens=None if hard.tokens is None else int(hard.tokens * _SOFT),
        cost=None if hard.cost is None else hard.cost * _SOFT,
    )


def _check_order(table: Section, soft: Amounts, hard: Amounts) -> None:
    for kind in KINDS:
        least, most = getattr(soft, kind), getattr(hard, kind)
        if least is not None and most is not None and least >= most:
            table.reject(kind, "is not below the limit at which it is stopped; make it smaller, or remove it")
