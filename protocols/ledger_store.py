"""What a ledger keeps of each task, and what its rules ask of whoever keeps it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from protocols.events import Event, TaskStatusChanged
from protocols.ids import TaskId
from protocols.kinds import TaskStatus
from protocols.ledger import Entry, Grant, Need, On, State, Told

__all__ = ["Lane", "Row", "Store"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One task."""

    entry: Entry
    """As it was submitted."""
    number: int
    """In the order in which they were submitted."""
    state: State = "waiting"
    status: TaskStatus = "pending"
    """As it was told last."""
    reason: str = ""
    missing: int = 0
    """How many needs are not met yet, while it waits for them."""
    attempts: int = 0
    owner: str = ""
    """Of the last grant."""
    node: str = ""
    lease_until: float | None = None
    """On the ledger's clock; None: for ever."""
    not_before: float = 0.0
    keeps: bool = False
    """Its slot, while it is paused."""
    cancelled: bool = False
    extended: bool = False
    more: tuple[Need, ...] = ()
    """What was submitted into it."""

    @property
    def id(self) -> TaskId:
        return self.entry.id

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset((*self.entry.needs, *self.more))

    @property
    def rank(self) -> tuple[int, int, int]:
        """The lowest starts first."""
        return -self.entry.priority, self.entry.order, self.number

    @property
    def place(self) -> tuple[int, int]:
        """In the plan."""
        return self.entry.order, self.number

    @property
    def lane(self) -> tuple[str, ...] | None:
        """Those of one lane compete for the same; None: it needs no slot."""
        return tuple(sorted(set(self.entry.labels))) if self.entry.slots else None

    @property
    def holds(self) -> bool:
        """It takes a slot."""
        return bool(self.entry.slots) and (self.state == "running" or (self.state == "paused" and self.keeps))

    def grant(self) -> Grant:
        return Grant(task=self.id, owner=self.owner, attempt=self.attempts, extended=self.extended)

    def change(self, at: float, retry_at: float | None = None) -> TaskStatusChanged:
        return TaskStatusChanged(
            at=at,
            task=self.id,
            status=self.status,
            reason=self.reason,
            attempt=self.attempts,
            allowed=self.entry.allow_failure,
            retry_at=retry_at,
        )


class Lane(NamedTuple):
    labels: tuple[str, ...] | None
    ready: int
    held: int
    """How many slots are taken."""


class Store(Protocol):
    """Inside a transaction that somebody else has begun. No iterator is used any more once something is written."""

    def get(self, task: TaskId) -> Row | None: ...

    def add(self, row: Row) -> None:
        """Of a task that is not there, with its needs."""

    def put(self, new: Row, old: Row) -> None:
        """Instead of ``old``, which is what was read, also where ``more`` has grown."""

    def clear(self) -> None:
        """Forget all tasks, and nothing of the outbox."""

    def rows(self) -> Sequence[Row]:
        """All, in the order in which they were submitted."""

    def dependents(self, task: TaskId) -> Sequence[tuple[TaskId, On]]:
        """Who needs it, and how."""

    def lanes(self) -> Iterable[Lane]: ...

    def ready(self, labels: tuple[str, ...] | None) -> Iterator[Row]:
        """Those of a lane, by rank."""

    def running(self) -> Sequence[Row]: ...

    def paused(self, until: float) -> Sequence[Row]:
        """Those whose pause is over then, who comes first in front."""

    def pauses(self) -> tuple[int, float | None]:
        """How many are paused, and when the first pause ends."""

    def count(self) -> int:
        """Of all tasks."""

    def tell(self, event: Event) -> Told:
        """Put it into the outbox."""
