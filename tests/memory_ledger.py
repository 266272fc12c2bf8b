"""A ledger in memory: the rules over plain dictionaries, without a thread, so that a mock clock can run."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import TypeVar

import trio

from actors.ledger import BaseLedger
from protocols.events import Event
from protocols.ids import TaskId
from protocols.ledger import On, State, Told
from protocols.ledger_rules import Rules
from protocols.ledger_store import Lane, Row

__all__ = ["MemoryLedger", "MemoryStore"]

T = TypeVar("T")

_HOLDING: tuple[State, ...] = ("running", "paused")


class MemoryStore:
    def __init__(self) -> None:
        self.found: dict[TaskId, Row] = {}
        self.box: list[Told] = []
        self._dependents: dict[TaskId, dict[tuple[TaskId, On], None]] = defaultdict(dict)
        self._by_state: dict[State, dict[TaskId, Row]] = defaultdict(dict)
        self._numbers = count(1)

    def get(self, task: TaskId) -> Row | None:
        return self.found.get(task)

    def add(self, row: Row) -> None:
        assert row.id not in self.found
        self._keep(row)

    def put(self, new: Row, old: Row) -> None:
        assert self.found[old.id] == old
        del self._by_state[old.state][old.id]
        self._keep(new)

    def clear(self) -> None:
        self.found.clear()
        self._dependents.clear()
        self._by_state.clear()

    def rows(self) -> Sequence[Row]:
        return sorted(self.found.values(), key=lambda row: row.number)

    def dependents(self, task: TaskId) -> Sequence[tuple[TaskId, On]]:
        return [*self._dependents[task]]

    def lanes(self) -> Iterable[Lane]:
        ready = Counter(row.lane for row in self._by_state["ready"].values())
        active = [row for state in _HOLDING for row in self._by_state[state].values()]
        held = Counter(row.lane for row in active if row.holds)
        return [Lane(lane, ready[lane], held[lane]) for lane in ready.keys() | held.keys()]

    def ready(self, labels: tuple[str, ...] | None) -> Iterator[Row]:
        ready = [row for row in self._by_state["ready"].values() if row.lane == labels]
        return iter(sorted(ready, key=lambda row: row.rank))

    def running(self) -> Sequence[Row]:
        return sorted(self._by_state["running"].values(), key=lambda row: row.number)

    def paused(self, until: float) -> Sequence[Row]:
        due = [row for row in self._by_state["paused"].values() if row.not_before <= until]
        return sorted(due, key=lambda row: (row.not_before, row.number))

    def pauses(self) -> tuple[int, float | None]:
        moments = [row.not_before for row in self._by_state["paused"].values()]
        return len(moments), min(moments, default=None)

    def count(self) -> int:
        return len(self.found)

    def tell(self, event: Event) -> Told:
        self.box.append(Told(next(self._numbers), event))
        return self.box[-1]

    def _keep(self, row: Row) -> None:
        self.found[row.id] = row
        self._by_state[row.state][row.id] = row
        for need in row.needs:
            self._dependents[need.task][row.id, need.on] = None


class MemoryLedger(BaseLedger):
    """``disk``: set while it takes something."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = trio.current_time,
        now: Callable[[], float] = trio.current_time,
        lease: float | None = None,
    ) -> None:
        super().__init__()
        tokens = count()
        self.store = MemoryStore()
        self.disk = trio.Event()
        self.disk.set()
        self._rules = Rules(store=self.store, clock=clock, now=now, new_token=lambda: str(next(tokens)), lease=lease)

    @property
    def name(self) -> str:
        return "memory"

    async def outbox(self) -> tuple[Told, ...]:
        return tuple(self.store.box)

    async def trim(self, upto: int) -> None:
        self.store.box = [told for told in self.store.box if told.number > upto]

    async def _do(self, verb: Callable[[Rules], T]) -> T:
        await self.disk.wait()
        return verb(self._rules)
