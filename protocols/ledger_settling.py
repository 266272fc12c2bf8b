"""What the end of a task means for those that need it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from protocols.events import Event
from protocols.ids import TaskId
from protocols.kinds import TaskStatus
from protocols.ledger import Need, On
from protocols.ledger_store import Row, Store
from protocols.task_events import TaskUnblocked

__all__ = ["Settling"]

_BAD: frozenset[TaskStatus] = frozenset(("failed", "timed-out", "parked"))
_WANTED: dict[On, str] = {"success": "", "failure": " to fail", "end": " to end"}


@dataclass(slots=True)
class Settling:
    """Of some ends in one transaction. What follows from them is told with `events`, in the order of the plan."""

    store: Store
    now: float
    """On the ledger's clock."""
    at: float
    """Unix time."""
    _skipped: list[Row] = field(default_factory=list, init=False)
    _unblocked: list[tuple[Row, Row]] = field(default_factory=list, init=False)
    """With what they needed last."""

    def follow(self, ended: Row, because: Row | None = None) -> None:
        """Tell those that need it of its end, and so on. ``because`` of which it is skipped."""
        pending = deque([(ended, because or ended)] if ended.status != "stopped" else [])
        while pending:
            need, cause = pending.popleft()
            for task, on in self.store.dependents(need.id):
                row = self.store.get(task)
                if row is not None and row.state == "waiting" and (skipped := self._meet(row, need, on, cause)):
                    pending.append((skipped, cause))

    def arrive(self, task: TaskId, needs: Sequence[Need]) -> None:
        """It needs these from now on, and they may be over already."""
        for need in dict.fromkeys(needs):
            found, row = self.store.get(need.task), self.store.get(task)
            if row is None or row.state != "waiting":
                return
            if found is not None and found.state == "done" and found.status != "stopped":
                skipped = self._meet(row, found, need.on, found)
                if skipped is not None:
                    self.follow(skipped, found)

    def open(self, row: Row) -> Row:
        """The same task with nothing missing: it may start, or waits for its moment."""
        paused = row.entry.not_before > self.now
        new = msgspec.structs.replace(
            row, state="paused" if paused else "ready", missing=0, not_before=row.entry.not_before
        )
        self.store.put(new, row)
        return new

    def events(self, *, unblocked: bool = True) -> list[Event]:
        skips = [row.change(self.at) for row in sorted(self._skipped, key=lambda row: row.place)]
        opened = sorted(self._unblocked, key=lambda pair: pair[0].place) if unblocked else []
        return [*skips, *(self._tell_unblocked(row, need) for row, need in opened)]

    def _meet(self, row: Row, need: Row, on: On, cause: Row) -> Row | None:
        """Return the task where it is skipped."""
        if not _meets(need, on):
            why = f"which {_words(need)}" if need is cause else f'skipped because "{cause.id}" {_words(cause)}'
            reason = f'needs "{need.id}"{_WANTED[on]}, {why}'
            skipped = msgspec.structs.replace(row, state="done", status="skipped", reason=reason)
            self.store.put(skipped, row)
            self._skipped.append(skipped)
            return skipped
        fewer = msgspec.structs.replace(row, missing=row.missing - 1)
        if fewer.missing:
            self.store.put(fewer, row)
        else:
            self._unblocked.append((self.open(row), need))
        return None

    def _tell_unblocked(self, row: Row, need: Row) -> TaskUnblocked:
        return TaskUnblocked(at=self.at, task=row.id, need=need.id, reason=f'"{need.id}" {_words(need)}')


def _meets(need: Row, on: On) -> bool:
    match on:
        case "success":
            return need.status == "succeeded" or (need.entry.allow_failure and need.status in _BAD)
        case "failure":
            return need.status in _BAD
        case "end":
            return True


def _words(ended: Row) -> str:
    """``succeeded``, ``timed out``, ``was parked``."""
    status = ended.status.replace("-", " ")
    return f"was {status}" if ended.status in {"parked", "skipped"} else status
