"""Watches what a run uses up of its budgets: tells when it is much, and who decides when it is all."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from math import inf

import trio

from actors.keyboard import Manner, tell
from actors.messages import Append, Subscribe
from actors.orders import Decision, Order, OverBudget
from actors.subscription import follow_records
from protocols.accounts import Account, Accounts, Breach
from protocols.budget import BudgetExceeded, BudgetWarned
from protocols.fan_out import group_of
from protocols.ids import TaskId, WorkerId
from protocols.layout import FleetFolder

__all__ = ["Accountant"]

logger = logging.getLogger(__name__)

_BUFFER = 4096


@dataclass(slots=True)
class _State:
    accounts: Accounts = field(default_factory=Accounts)
    news: trio.Event = field(default_factory=trio.Event)
    begun: bool = False
    """All that an earlier supervisor has recorded is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accountant:
    """One for a run that has budgets. Its state comes from the journal: a restart forgets nothing."""

    folder: FleetFolder
    after: int
    """The number of the last record of an earlier supervisor."""
    subscribe: trio.MemorySendChannel[Subscribe]
    outbox: trio.MemorySendChannel[Append]
    decisions: trio.MemorySendChannel[Decision]
    orders: trio.MemorySendChannel[Order]
    manners: Mapping[TaskId, Manner]
    """How the tasks of the plan are told something."""
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until the hub ends."""
        state = _State()
        async with self.outbox.clone() as outbox, trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, state, outbox, nursery)
            task_status.started()
            async with aclosing(follow_records(self.folder.journal, self.subscribe, buffer=_BUFFER)) as records:
                async for record in records:
                    changed = state.accounts.apply(record.event)
                    begun, state.begun = state.begun, state.begun or record.seq > self.after
                    if changed or state.begun != begun:
                        state.news.set()
            nursery.cancel_scope.cancel(reason="there are no more records")

    async def _watch(self, state: _State, outbox: trio.MemorySendChannel[Append], nursery: trio.Nursery) -> None:
        decided: set[tuple[str, str]] = set()
        while True:
            state.news = trio.Event()  # what comes from now on is looked at again
            now = self.now()
            if state.begun:
                for account in list(state.accounts.all):
                    for breach in list(account.breaches(now)):
                        account.told.add((breach.kind, breach.hard))
                        await self._record(breach, now, outbox)
                        if not breach.hard:
                            nursery.start_soon(self._say, account, breach)
                    await self._decide(account, decided)
            due = min((account.due(now) for account in state.accounts.all if state.begun), default=inf)
            with trio.move_on_after(inf if due == inf else max(due - self.now(), 0.0)):
                await state.news.wait()

    async def _record(self, breach: Breach, now: float, outbox: trio.MemorySendChannel[Append]) -> None:
        kind = BudgetExceeded if breach.hard else BudgetWarned
        event = kind(
            at=now,
            scope=breach.of.scope,
            name=breach.of.name,
            kind=breach.kind,
            spent=breach.spent,
            limit=breach.limit,
            reason=breach.reason,
        )
        committed = trio.Event()
        await outbox.send(Append(event, committed))
        await committed.wait()

    async def _decide(self, account: Account, decided: set[tuple[str, str]]) -> None:
        """Under each supervisor anew: the one before may have been killed before it did anything about it."""
        of, key = account.of, (account.of.scope, account.of.name)
        if key in decided or not any(hard for _, hard in account.told):
            return
        decided.add(key)
        with suppress(trio.BrokenResourceError):  # all is decided already
            await self.decisions.send(OverBudget(of.scope, of.name, account.excess(self.now())))

    async def _say(self, account: Account, breach: Breach) -> None:
        """To the worker of a task, where the plan has words for it."""
        of = breach.of
        made = group_of(of.name)
        if of.scope == "task" and of.budget.warning:
            manner = self.manners[TaskId(of.name) if made is None else made[0]]
            failed = await tell(self.orders, WorkerId(of.name), None, of.budget.warning, manner)
            if failed:
                logger.warning("%s was not told that much of its budget is used: %s", of.label, failed)
