"""What the verbs of a ledger do, wherever its states are kept."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import msgspec

from protocols.errors import LedgerError
from protocols.events import Event
from protocols.ids import TaskId
from protocols.ledger import (
    Answer,
    Changed,
    Claimed,
    Done,
    End,
    Entry,
    Finished,
    Grant,
    Need,
    On,
    Renewed,
    Retry,
    Told,
)
from protocols.ledger_settling import Settling
from protocols.ledger_store import Row, Store
from protocols.wording import quote

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One transaction for each method. Where one raises, nothing is written yet."""

    store: Store
    clock: Callable[[], float]
    """Seconds; moments of starts and leases are meant on it."""
    now: Callable[[], float]
    """Unix time, for events."""
    new_token: Callable[[], str]
    lease: float | None = None
    """Seconds for which a grant holds; None: for ever."""

    def submit(
        self, entries: Sequence[Entry], into: TaskId | None = None, on: On = "success", tell: Sequence[Event] = ()
    ) -> Changed:
        fresh = self._fresh(entries)
        group = None if into is None else self._group(into)
        more = () if group is None else tuple({Need(each.id, on): None for each in entries}.keys() - group.needs)
        if group is not None and group.state == "done" and (more or not group.extended):
            raise LedgerError(f"task {quote(group.id)} is over ({group.status}); nothing can be submitted into it")
        extends = group is not None and (bool(more) or not group.extended)
        for number, entry in enumerate(fresh, self.store.count()):
            self.store.add(Row(entry=entry, number=number, missing=len(set(entry.needs))))
        settling = Settling(self.store, self.clock(), self.now())
        for entry in fresh:
            self._settle_new(settling, entry.id, entry.needs)
        if group is not None and extends:
            self._extend(group, more, settling)
        told = self.tell(*(tell if fresh or extends else ()), *settling.events(unblocked=False))
        return Changed(told=told)

    def claim(
        self, node: str, free: int, caps: Mapping[str, int] | None = None, most: float = math.inf, version: int = 0
    ) -> Claimed:
        now = self.clock()
        granted: list[Row] = []
        for row in self.store.paused(now):
            if row.keeps:
                granted.append(row)
            else:
                self.store.put(msgspec.structs.replace(row, state="ready"), row)
        picked, held = self._pick(free, caps or {}, most)
        granted += picked
        told: list[Told] = []
        grants = []
        for row in granted:
            new = self.grant(row, node)
            if new.status != row.status or new.attempts:
                told += self.tell(new.change(self.now()))
            grants.append(new.grant())
        paused, due = self.store.pauses()
        return Claimed(
            grants=tuple(grants),
            held=held,
            left=sum(lane.ready for lane in self.store.lanes()) + paused,
            version=version,
            wait=math.inf if due is None else max(due - now, 0.0),
            told=tuple(told),
        )

    def renew(self, grants: Sequence[Grant]) -> Renewed:
        lost, cancelled = [], []
        for grant in grants:
            row = self.store.get(grant.task)
            if row is None or row.state != "running" or row.owner != grant.owner:
                lost.append(grant.task)
                continue
            self.store.put(msgspec.structs.replace(row, lease_until=self._lease()), row)
            if row.cancelled:
                cancelled.append(grant.task)
        return Renewed(lost=tuple(lost), cancelled=tuple(cancelled))

    def finish(self, ends: Sequence[End], tell: Sequence[Event] = ()) -> Finished:
        answers: list[Answer] = []
        told: list[Told] = []
        for end in ends:
            row = self.store.get(end.grant.task)
            answers.append(_answer(row, end))
            if row is not None and answers[-1] == "accepted":
                told += self._end(row, end)
        if "accepted" in answers:
            told += self.tell(*tell)
        return Finished(answers=tuple(answers), told=tuple(told))

    def cancel(self, tasks: Sequence[TaskId] | None, reason: str) -> Changed:
        found = self.store.rows() if tasks is None else [row for task in tasks if (row := self.store.get(task))]
        told: list[Told] = []
        for row in sorted(found, key=lambda row: row.place):
            if row.state == "running":
                self.store.put(msgspec.structs.replace(row, cancelled=True), row)
            elif row.state != "done":
                new = msgspec.structs.replace(row, state="done", status="stopped", reason=reason)
                self.store.put(new, row)
                told += self.tell(new.change(self.now()))
        return Changed(told=tuple(told))

    def reap(self, node: str | None = None) -> Changed:
        now, told = self.clock(), list[Told]()
        for row in self.store.running():
            late = row.lease_until is not None and row.lease_until <= now
            if row.node == node or (node is None and late):
                reason = f"node {quote(row.node)} {'is gone' if row.node == node else 'did not renew it'}"
                new = msgspec.structs.replace(row, state="ready", status="retrying", reason=reason, lease_until=None)
                if row.cancelled:
                    new = msgspec.structs.replace(new, state="done", status="stopped")
                self.store.put(new, row)
                told += self.tell(new.change(self.now(), None if row.cancelled else self.now()))
        return Changed(told=tuple(told))

    def _settle_new(self, settling: Settling, task: TaskId, needs: Sequence[Need]) -> None:
        """It waits, for needs that may be over already, or that are none."""
        settling.arrive(task, needs)
        row = self.store.get(task)
        if row is not None and row.state == "waiting" and not row.missing:
            settling.open(row)

    def grant(self, row: Row, node: str) -> Row:
        """One more attempt of it begins."""
        new = msgspec.structs.replace(
            row,
            state="running",
            status="running",
            reason="",
            attempts=row.attempts + row.entry.slots,
            owner=f"{node}:{self.new_token()}",
            node=node,
            lease_until=self._lease(),
            keeps=False,
        )
        self.store.put(new, row)
        return new

    def tell(self, *events: Event) -> tuple[Told, ...]:
        return tuple(self.store.tell(event) for event in events)

    def _lease(self) -> float | None:
        return None if self.lease is None else self.clock() + self.lease

    def _fresh(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that are not there yet. Raise `LedgerError`."""
        fresh: dict[TaskId, Entry] = {}
        for entry in entries:
            row = self.store.get(entry.id)
            there = fresh.get(entry.id) if row is None else row.entry
            if there is None:
                fresh[entry.id] = entry
            elif there != entry:
                raise LedgerError(f"task {quote(entry.id)} is there already, and is another one; give it another name")
        for entry in fresh.values():
            for need in entry.needs:
                if need.task not in fresh and self.store.get(need.task) is None:
                    raise LedgerError(f"task {quote(entry.id)} needs {quote(need.task)}, which nobody has submitted")
        return [*fresh.values()]

    def _group(self, into: TaskId) -> Row:
        row = self.store.get(into)
        if row is None:
            raise LedgerError(f"task {quote(into)} is not known; nothing can be submitted into it")
        return row

    def _extend(self, group: Row, more: tuple[Need, ...], settling: Settling) -> None:
        missing = group.missing if group.state == "waiting" else 0
        new = msgspec.structs.replace(
            group, state="waiting", missing=missing + len(more), more=(*group.more, *more), extended=True, owner=""
        )
        self.store.put(new, group)
        self._settle_new(settling, group.id, more)

    def _pick(self, free: int, caps: Mapping[str, int], most: float) -> tuple[list[Row], tuple[TaskId, ...]]:
        """Who is granted, and who would be if more might start; nothing is written."""
        lanes = [*self.store.lanes()]
        picked = [row for lane in lanes if lane.labels is None and lane.ready for row in self.store.ready(None)]
        used = Counter(dict.fromkeys(caps, 0))
        for lane in lanes:
            used.update(dict.fromkeys(lane.labels or (), lane.held))
        room = {label: cap - used[label] for label, cap in caps.items()}
        heads = [_Head(self.store.ready(lane.labels), caps) for lane in lanes if lane.labels is not None and lane.ready]
        queue = [(head.row.rank, head) for head in heads if head.row is not None]
        heapify(queue)
        started, held = 0, list[TaskId]()
        while queue and started + len(held) < free:
            _, head = heappop(queue)
            row = head.row
            if row is None or any(room[label] <= 0 for label in head.capped):
                continue
            room.update({label: room[label] - 1 for label in head.capped})
            if started < most:
                picked.append(row)
                started += 1
            else:
                held.append(row.id)
            if (following := head.advance()) is not None:
                heappush(queue, (following.rank, head))
        return picked, tuple(held)

    def _end(self, row: Row, end: End) -> list[Told]:
        at = self.now()
        if isinstance(end, Done) or row.cancelled:
            status = end.status if isinstance(end, Done) else "stopped"
            attempts = row.attempts - (row.entry.slots if isinstance(end, Done) and not end.begun else 0)
            new = msgspec.structs.replace(row, state="done", status=status, reason=end.reason, attempts=attempts)
            self.store.put(new, row)
            settling = Settling(self.store, self.clock(), self.now())
            settling.follow(new)
            return [*self.tell(new.change(at), *settling.events())]
        new = msgspec.structs.replace(
            row,
            state="paused",
            status=end.status,
            reason=end.reason,
            not_before=self.clock() + end.pause,
            keeps=end.keeps_slot,
        )
        self.store.put(new, row)
        return [*self.tell(new.change(at, retry_at=at + end.pause))]


class _Head:
    """The first task of a lane that is not picked yet."""

    def __init__(self, ready: Iterator[Row], caps: Mapping[str, int]) -> None:
        self._ready = ready
        self.row = next(ready, None)
        self.capped = [] if self.row is None else [label for label in self.row.lane or () if label in caps]

    def advance(self) -> Row | None:
        self.row = next(self._ready, None)
        return self.row


def _answer(row: Row | None, end: End) -> Answer:
    if row is None or row.owner != end.grant.owner:
        return "rejected"
    match row.state:
        case "running":
            return "accepted"
        case "done":
            return "already" if isinstance(end, Done) and row.status == end.status else "rejected"
        case "paused" | "ready":
            return "already" if isinstance(end, Retry) else "rejected"
        case "waiting":
            return "rejected"
