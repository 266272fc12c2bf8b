"""How a ledger is brought up from what the records of a run tell."""

from collections.abc import Sequence

import msgspec

from protocols.ids import TaskId
from protocols.ledger import OVER, Entry, Resynced, Standing, Told
from protocols.ledger_rules import Rules
from protocols.ledger_settling import Settling
from protocols.ledger_store import Row

__all__ = ["resync"]


def resync(rules: Rules, node: str, entries: Sequence[Entry], standings: Sequence[Standing]) -> Resynced:
    """One transaction. What the ledger had is taken as far as nobody else tells of it."""
    store = rules.store
    before = {row.id: row for row in store.rows()}
    known = {standing.task: standing for standing in standings}
    given = {entry.id: entry for entry in entries}
    every = {**given, **{task: row.entry for task, row in before.items() if task not in given}}
    store.clear()
    ahead = []
    for number, entry in enumerate(every.values()):
        row = _waiting(entry, number, before.get(entry.id))
        standing = known.get(entry.id, Standing(task=entry.id))
        if _is_ahead(before.get(entry.id), standing):
            row = _as_before(row, before[entry.id])
            ahead.append(row)
        else:
            row = _stand(row, standing, rules.clock())
        store.add(row)
    told = [each for row in ahead for each in rules.tell(row.change(rules.now()))]
    told += _settle(rules, [*(each.task for each in standings), *(row.id for row in ahead)])
    return _grant(rules, node, standings, told)


def _waiting(entry: Entry, number: int, before: Row | None) -> Row:
    more = () if before is None else tuple(need for need in before.more if need not in entry.needs)
    row = Row(entry=entry, number=number, more=more, extended=before is not None and before.extended)
    return msgspec.structs.replace(row, missing=len(row.needs))


def _is_ahead(before: Row | None, standing: Standing) -> bool:
    """It knows the end of an attempt of which the records do not tell even the beginning: a power cut took them."""
    return (
        before is not None
        and before.state == "done"
        and not standing.open
        and standing.status not in OVER
        and before.attempts > standing.attempts
    )


def _as_before(row: Row, before: Row) -> Row:
    return msgspec.structs.replace(
        row, state="done", status=before.status, reason=before.reason, attempts=before.attempts, owner=before.owner
    )


def _stand(row: Row, standing: Standing, clock: float) -> Row:
    row = msgspec.structs.replace(
        row,
        status="pending" if standing.status == "running" and not standing.open and row.entry.slots else standing.status,
        reason=standing.reason,
        attempts=standing.attempts,
        extended=row.extended or standing.extended,
    )
    if standing.status in OVER:
        return msgspec.structs.replace(row, state="done")
    if standing.open:
        return msgspec.structs.replace(row, state="running")
    if standing.status in {"retrying", "restarting"}:
        return msgspec.structs.replace(
            row, state="paused", not_before=clock + standing.pause, keeps=standing.keeps_slot
        )
    return row


def _settle(rules: Rules, over: Sequence[TaskId]) -> list[Told]:
    """Let everything follow from the ends, in the order in which they came; who may start was told before."""
    settling = Settling(rules.store, rules.clock(), rules.now())
    for task in over:
        row = rules.store.get(task)
        if row is not None and row.state == "done":
            settling.follow(row)
    for row in rules.store.rows():
        if row.state == "waiting" and not row.missing:
            settling.open(row)
    return [*rules.tell(*settling.events(unblocked=False))]


def _grant(rules: Rules, node: str, standings: Sequence[Standing], told: list[Told]) -> Resynced:
    grants = []
    for standing in standings:
        row = rules.store.get(standing.task)
        if row is None or row.state != "running":
            continue
        counted = msgspec.structs.replace(row, attempts=row.attempts - row.entry.slots)
        rules.store.put(counted, row)
        new = rules.grant(counted, node)
        grants.append(new.grant())
        if not standing.told:
            told += rules.tell(new.change(rules.now()))
    statuses = {row.id: row.status for row in rules.store.rows()}
    return Resynced(grants=tuple(grants), statuses=statuses, told=tuple(told))
