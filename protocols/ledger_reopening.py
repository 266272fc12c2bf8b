"""How a task that is over, or waits for its next attempt, is begun once more."""

from collections import deque

import msgspec

from protocols.ids import TaskId
from protocols.ledger import Changed
from protocols.ledger_rules import Rules
from protocols.ledger_settling import Settling
from protocols.ledger_store import Row
from protocols.task_events import RunRetried

__all__ = ["reopen"]


def reopen(rules: Rules, task: TaskId) -> Changed:
    """One transaction. What was skipped for it waits again, and so does what waits for it and counts its end."""
    store = rules.store
    row = store.get(task)
    if row is None or row.state not in {"done", "paused"}:
        return Changed()
    found = [row, *_skipped_for(rules, row)]
    waiting = [_wait_again(rules, each) for each in (*found, *_counting(rules, found))]
    told = [*rules.tell(RunRetried(at=rules.now(), origins=(task,), tasks=tuple(each.id for each in found)))]
    settling = Settling(store, rules.clock(), rules.now())
    for each in waiting:
        settling.arrive(each.id, tuple(each.needs))
        fresh = store.get(each.id)
        if fresh is not None and fresh.state == "waiting" and not fresh.missing:
            settling.open(fresh)
    told += rules.tell(*settling.events(unblocked=False))
    return Changed(told=tuple(told))


def _skipped_for(rules: Rules, origin: Row) -> list[Row]:
    """In the order in which they were."""
    found: dict[TaskId, Row] = {}
    pending = deque([origin])
    while pending:
        for task, _ in rules.store.dependents(pending.popleft().id):
            row = rules.store.get(task)
            if row is not None and task not in found and row.status == "skipped":
                found[task] = row
                pending.append(row)
    return [*found.values()]


def _counting(rules: Rules, reopened: list[Row]) -> list[Row]:
    """Who waits for others yet, and may have counted the end of one of these already."""
    names = dict.fromkeys(task for row in reopened for task, _ in rules.store.dependents(row.id))
    rows = (rules.store.get(task) for task in names)
    return [row for row in rows if row is not None and row.state == "waiting"]


def _wait_again(rules: Rules, row: Row) -> Row:
    """``not_before`` is that of its first start, which is long over."""
    again = row if row.state == "waiting" else msgspec.structs.replace(row, status="pending", reason="", owner="")
    new = msgspec.structs.replace(
        again, state="waiting", missing=len(row.needs), keeps=False, cancelled=False, lease_until=None
    )
    rules.store.put(new, row)
    return new
