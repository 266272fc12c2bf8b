"""The rules of the command queue: who is written when, and what follows from what came of it.

queued → written → accepted → done, and from each of the first three to failed; queued → expired. What is to be written
is first `Rules.begin` and then, when it is known what came of it, written, failed or queued again: again only where it
is sure not to have arrived. So whoever was killed in between leaves a command that is begun, and that is never written
a second time, but for one that may arrive twice without harm.
"""

import math
import random as _random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from protocols.backoff import delay
from protocols.command_events import (
    CommandAccepted,
    CommandDone,
    CommandExpired,
    CommandFailed,
    CommandQueued,
    CommandWritten,
    QueueEvent,
)
from protocols.errors import QueueError
from protocols.ids import CommandId, TaskId, WorkerId
from protocols.queued import NewCommand, Queued, describe, kind_of
from protocols.token_bucket import TokenBucket

__all__ = ["RATE", "RETRIES", "UNKNOWN", "Due", "Rules", "Store"]

RETRIES = 3
RATE = 10.0  # commands a second for one worker, and as many at once
UNKNOWN = "nobody knows whether it arrived: callboard was killed while it was written; it is not written again"
UNKNOWN_AT_END = "nobody knows whether it arrived: the run ended while it was written"
_MOST_OPEN = 256  # for one worker
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0


class Store(Protocol):
    """Inside a transaction that somebody else has begun."""

    def get(self, command: CommandId) -> Queued | None: ...

    def last(self) -> int:
        """The highest number so far; 0: none."""

    def put(self, row: Queued) -> None:
        """A new one, or instead of the one that has its id."""

    def waiting(self) -> Sequence[Queued]:
        """Those that are ``queued``, in the order of their numbers."""

    def unsettled(self) -> Sequence[Queued]:
        """Those that are ``written`` or ``accepted``, in the order of their numbers."""

    def count_open(self, task: TaskId) -> int:
        """Those that are not over."""

    def tell(self, event: QueueEvent) -> None:
        """Put it into the outbox."""


class Due(NamedTuple):
    write: tuple[Queued, ...]
    """Those whose turn it is, one for a worker at most."""
    tasks: frozenset[TaskId]
    """Of whom some wait to be written."""
    wait: float
    """Seconds after which that changes by itself at the earliest."""


@dataclass(slots=True, kw_only=True)
class Rules:
    """Each method is one transaction. ``now`` is Unix time; it may be set back, which only makes things later."""

    store: Store
    now: Callable[[], float]
    random: Callable[[], float] = _random.random
    _buckets: dict[TaskId, TokenBucket] = field(default_factory=dict)

    def enqueue(self, new: NewCommand) -> Queued:
        """Raise QueueError where its id is that of another command, or too many wait for this worker."""
        known = self.store.get(new.id)
        if known is not None:
            if (known.new.task, known.new.action) != (new.task, new.action):
                raise QueueError(f'command "{new.id}": another one has this id; give it one of its own')
            return known
        if self.store.count_open(new.task) >= _MOST_OPEN:
            raise QueueError(f'"{new.task}": {_MOST_OPEN} commands wait for it already; try again later')
        now = self.now()
        row = Queued(new=new, number=self.store.last() + 1, at=now, expires_at=now + new.expires)
        self.store.put(row)
        what = describe(new.action)
        self.store.tell(CommandQueued(**_names(row), at=now, what=what, by=new.by, expires_at=row.expires_at))
        return row

    def recover(self) -> None:
        """Whoever was about to write is gone."""
        for row in self.store.waiting():
            if row.begun and row.harmless:
                self.store.put(msgspec.structs.replace(row, begun=False))
            elif row.begun:
                self._fail(row, UNKNOWN)

    def close(self, why: str) -> None:
        """Nothing is written any more."""
        for row in self.store.waiting():
            self._fail(row, UNKNOWN_AT_END if row.begun and not row.harmless else why)

    def due(self, running: Mapping[TaskId, int], ended: Callable[[TaskId, int], bool]) -> Due:
        """What is to be written now. ``running``: the attempt of each worker that can be reached; ``ended``: whether
        an attempt of one is over. What has waited too long expires."""
        now, write, wait, seen = self.now(), list[Queued](), math.inf, set[TaskId]()
        for row in self.store.waiting():
            if row.begun:
                seen.add(row.task)
            elif row.expires_at <= now:
                self._expire(row)
            elif row.new.attempt and ended(row.task, row.new.attempt):
                self._fail(row, f"attempt {row.new.attempt} has ended")
            elif row.task in seen:
                wait = min(wait, row.expires_at - now)
            else:
                seen.add(row.task)
                wait = min(wait, row.expires_at - now)
                attempt = running.get(row.task)
                there = attempt is not None and row.new.attempt in (0, attempt)
                pause = max(row.not_before - now, self._bucket(row.task).wait(now)) if there else math.inf
                if pause > 0:
                    wait = min(wait, pause)
                else:
                    write.append(row)
        return Due(tuple(write), frozenset(seen), wait)

    def begin(self, command: CommandId, attempt: int, mark: int = 0, *, harmless: bool = False) -> Queued | None:
        """Somebody writes it now, and says then what came of that. None: it is not to be written any more.
        ``harmless``: it may arrive twice."""
        row = self.store.get(command)
        if row is None or row.state != "queued" or row.begun:
            return None
        self._bucket(row.task).take(self.now())
        begun = msgspec.structs.replace(
            row, begun=True, harmless=harmless, attempt=attempt, mark=mark, tries=row.tries + 1
        )
        self.store.put(begun)
        return begun

    def written(self, command: CommandId, mark: int | None = None) -> Queued | None:
        """It has arrived. None: that is not what it waits for."""
        row = self._begun(command)
        if row is None:
            return None
        now = self.now()
        row = msgspec.structs.replace(
            row, state="written", begun=False, written_at=now, reason="", mark=row.mark if mark is None else mark
        )
        self.store.put(row)
        self.store.tell(CommandWritten(**_names(row), at=now, attempt=row.attempt, tries=row.tries))
        return row

    def missed(self, command: CommandId, why: str) -> Queued | None:
        """It is sure not to have arrived: after a pause it is tried again, unless it was tried often enough."""
        row = self._begun(command)
        if row is None:
            return None
        if row.tries > RETRIES:
            return self._fail(row, why)
        pause = delay(row.tries, _FIRST_PAUSE, _LONGEST_PAUSE, self.random)
        row = msgspec.structs.replace(row, begun=False, not_before=self.now() + pause, reason=why)
        self.store.put(row)
        return row

    def accepted(self, command: CommandId, why: str) -> Queued | None:
        row = self.store.get(command)
        if row is None or row.state != "written":
            return None
        row = msgspec.structs.replace(row, state="accepted", reason=why)
        self.store.put(row)
        self.store.tell(CommandAccepted(**_names(row), at=self.now(), attempt=row.attempt, why=why))
        return row

    def done(self, command: CommandId) -> Queued | None:
        row = self.store.get(command)
        if row is None or row.state != "accepted":
            return None
        row = msgspec.structs.replace(row, state="done", ended_at=self.now())
        self.store.put(row)
        self.store.tell(CommandDone(**_names(row), at=self.now(), attempt=row.attempt))
        return row

    def failed(self, command: CommandId, why: str) -> Queued | None:
        """It did not arrive and never will, or nobody knows; or nothing came of it."""
        row = self.store.get(command)
        return None if row is None or row.is_over else self._fail(row, why)

    def _begun(self, command: CommandId) -> Queued | None:
        row = self.store.get(command)
        return row if row is not None and row.state == "queued" and row.begun else None

    def _fail(self, row: Queued, why: str) -> Queued:
        row = msgspec.structs.replace(row, state="failed", begun=False, ended_at=self.now(), reason=why)
        self.store.put(row)
        attempt = row.attempt or row.new.attempt
        self.store.tell(CommandFailed(**_names(row), at=self.now(), attempt=attempt, tries=row.tries, reason=why))
        return row

    def _expire(self, row: Queued) -> None:
        self.store.put(msgspec.structs.replace(row, state="expired", ended_at=self.now()))
        self.store.tell(CommandExpired(**_names(row), at=self.now()))

    def _bucket(self, task: TaskId) -> TokenBucket:
        return self._buckets.setdefault(task, TokenBucket(RATE, RATE, self.now()))


def _names(row: Queued) -> dict[str, Any]:
    return {"command": row.id, "worker": WorkerId(row.task), "kind": kind_of(row.new.action)}
