"""What has been used up of each budget of a run, as its records tell it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import msgspec

from protocols.budget import KINDS, Amounts, BudgetExceeded, BudgetOf, BudgetWarned, Kind, tell_amount, tell_spent
from protocols.events import (
    AttemptStarting,
    Event,
    InstanceLinked,
    InstanceRecord,
    RunEnded,
    RunResumed,
    RunStarted,
    WorkerExited,
    WorkerStarted,
)
from protocols.fan_out import group_of
from protocols.ids import RunId, TaskId, WorkerId
from protocols.session_events import SessionUsage

__all__ = ["Account", "Accounts", "Breach"]


class Breach(msgspec.Struct, frozen=True):
    """A limit that was reached."""

    of: BudgetOf
    kind: Kind
    spent: float
    limit: float
    hard: bool
    reason: str


@dataclass(slots=True)
class Account:
    """Of one budget. Moments are Unix time."""

    of: BudgetOf
    attempts: int = 0
    tokens: int = 0
    cost: float = 0.0
    unpriced: int = 0
    """Tokens of sessions whose server tells no cost."""
    running: dict[WorkerId, float] = field(default_factory=dict)
    """Since when."""
    told: set[tuple[Kind, bool]] = field(default_factory=set)
    """The limits that were told, soft and hard (True)."""
    _time: float = 0.0

    def spent(self, kind: Kind, now: float) -> float:
        if kind == "time":
            return self._time + sum(max(now - since, 0.0) for since in self.running.values())
        return float(getattr(self, kind))

    def end(self, worker: WorkerId, at: float) -> None:
        since = self.running.pop(worker, None)
        if since is not None:
            self._time += max(at - since, 0.0)

    def breaches(self, now: float) -> Iterator[Breach]:
        """What is reached and was not told, hard before soft."""
        budget, label, reached = self.of.budget, self.of.label, {kind for kind, hard in self.told if hard}
        for hard, amounts in ((True, budget.hard), (False, budget.soft)):
            for kind, limit in _limits(amounts):
                spent = self.spent(kind, now)
                if (kind, hard) in self.told or kind in reached or kind == "attempts" or spent < limit:
                    continue
                reached |= {kind} if hard else set()
                told = tell_spent(kind, spent, limit) if hard else f"{kind} {tell_amount(kind, spent)} so far"
                yield Breach(self.of, kind, spent, limit, hard, f"budget of {label}: {told}")
        if budget.hard.cost is not None and self.unpriced and ("cost", True) not in self.told:
            yield Breach(self.of, "cost", self.cost, budget.hard.cost, True, self._without_price())

    def excess(self, now: float) -> str:
        """Why it is over its budget, as it was told."""
        label, hard = self.of.label, dict(_limits(self.of.budget.hard))
        told = [kind for kind in KINDS if (kind, True) in self.told and kind in hard]
        if told == ["cost"] and self.unpriced and self.cost < hard["cost"]:
            return self._without_price()
        return f"budget of {label}: {', '.join(tell_spent(kind, self.spent(kind, now), hard[kind]) for kind in told)}"

    def _without_price(self) -> str:
        why = f"its server tells no price for {self.unpriced} tokens, so no cost can be limited; limit tokens"
        return f"budget of {self.of.label}: {why}"

    def due(self, now: float) -> float:
        """When the next limit of time is reached, if all goes on like this."""
        if not self.running or ("time", True) in self.told:
            return inf
        limits = [(True, self.of.budget.hard.time), (False, self.of.budget.soft.time)]
        left = [limit - self.spent("time", now) for hard, limit in limits if limit and ("time", hard) not in self.told]
        return now + max(min(left), 0.0) / len(self.running) if left else inf


@dataclass(slots=True)
class Accounts:
    """Feed every record in order. Without a budget in the plan it keeps nothing."""

    all: list[Account] = field(default_factory=list)
    _roles: Mapping[TaskId, str] = field(default_factory=dict)
    _of: dict[str, tuple[Account, ...]] = field(default_factory=dict)
    """By task."""
    _used: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    """Tokens and cost of each attempt, as told last."""
    _runs: dict[str, RunId] = field(default_factory=dict)
    """Of the instances, by their paths."""
    _last_at: float = 0.0

    def apply(self, event: Event) -> bool:
        """Whether it can have changed an account."""
        if isinstance(event, RunStarted):
            self._open(event)
        if not self.all:
            return False
        changed = self._apply(event)
        self._last_at = event.at
        return changed

    def of_task(self, task: str) -> tuple[Account, ...]:
        """Its own, that of its role, that of the run, as far as there are some."""
        found = self._of.get(task)
        if found is None:
            made = group_of(task)
            group = TaskId(task) if made is None else made[0]
            found = tuple(account for account in self.all if self._belongs(account.of, task, group))
            own = next((each.of for each in self.all if (each.of.scope, each.of.name) == ("task", group)), None)
            if made is not None and own is not None:  # each of those that were made for an item has its own
                self.all.append(Account(msgspec.structs.replace(own, name=task)))
                found = (self.all[-1], *found)
            self._of[task] = found
        return found

    def _belongs(self, of: BudgetOf, task: str, group: TaskId) -> bool:
        match of.scope:
            case "task":
                return of.name == task
            case "role":
                return of.name == self._roles.get(group)
            case "run":
                return True

    def _open(self, event: RunStarted) -> None:
        self._roles = event.roles
        self.all = [Account(of) for of in event.budgets]
        for account in self.all:
            if account.of.scope == "run":
                account.running[_RUN] = event.at

    def _apply(self, event: Event) -> bool:
        match event:
            case AttemptStarting():
                for account in self.of_task(event.worker):
                    account.attempts += 1
            case WorkerStarted() | WorkerExited():
                self._run(event)
            case SessionUsage():
                self._use(event.worker, (event.worker, event.attempt), event)
            case InstanceLinked():
                self._runs[event.worker] = event.run
                return False
            case InstanceRecord():
                return self._use_below(event)
            case RunResumed() | RunEnded():
                self._pause(event)
            case BudgetWarned() | BudgetExceeded():
                self._tell(event)
            case _:
                return isinstance(event, RunStarted)
        return True

    def _run(self, event: WorkerStarted | WorkerExited) -> None:
        for account in self.of_task(event.worker):
            if isinstance(event, WorkerExited) and event.reason == "budget" and event.started_at is None:
                account.attempts -= 1  # it was refused
            if account.of.scope != "run" and isinstance(event, WorkerStarted):
                account.running[event.worker] = event.at
            elif account.of.scope != "run" and isinstance(event, WorkerExited):
                account.end(event.worker, event.ended_at)

    def _use_below(self, record: InstanceRecord) -> bool:
        """What the sessions of an instance use, its task uses."""
        event = record.event
        if isinstance(event, InstanceLinked):
            self._runs[f"{record.path}/{event.worker}"] = event.run
        elif isinstance(event, SessionUsage):
            place = f"{record.path}/{self._runs.get(record.path, '')}/{event.worker}"
            self._use(record.worker, (place, event.attempt), event)
            return True
        return False

    def _use(self, task: str, attempt: tuple[str, int], event: SessionUsage) -> None:
        """Totals of an attempt: what is new of them is added."""
        tokens = event.input + event.output + event.reasoning + event.cache_read + event.cache_write
        before, paid = self._used.get(attempt, (0, 0.0))
        self._used[attempt] = (tokens, event.cost)
        for account in self.of_task(task):
            account.tokens += max(tokens - before, 0)
            account.cost += max(event.cost - paid, 0.0)
            if tokens and not event.cost:
                account.unpriced = max(account.unpriced, tokens)

    def _pause(self, event: RunResumed | RunEnded) -> None:
        """A run without a supervisor uses no time of its own."""
        for account in self.all:
            if account.of.scope == "run":
                account.end(_RUN, self._last_at if isinstance(event, RunResumed) else event.at)
                if isinstance(event, RunResumed):
                    account.running[_RUN] = event.at

    def _tell(self, event: BudgetWarned | BudgetExceeded) -> None:
        for account in [*self.all, *self.of_task(event.name if event.scope == "task" else "")]:
            if (account.of.scope, account.of.name) == (event.scope, event.name):
                account.told.add((event.kind, isinstance(event, BudgetExceeded)))


_RUN = WorkerId("")


def _limits(amounts: Amounts) -> Sequence[tuple[Kind, float]]:
    return [(kind, limit) for kind in KINDS if (limit := getattr(amounts, kind)) is not None]
