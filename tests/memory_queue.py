"""A queue's store in memory, for its rules alone."""

from collections.abc import Sequence

from protocols.command_events import QueueEvent
from protocols.ids import CommandId, TaskId
from protocols.queued import Queued

__all__ = ["MemoryQueue"]


class MemoryQueue:
    def __init__(self) -> None:
        self.found: dict[CommandId, Queued] = {}
        self.told: list[QueueEvent] = []

    def get(self, command: CommandId) -> Queued | None:
        return self.found.get(command)

    def last(self) -> int:
        return max((row.number for row in self.found.values()), default=0)

    def put(self, row: Queued) -> None:
        self.found[row.id] = row

    def waiting(self) -> Sequence[Queued]:
        return self._in("queued")

    def unsettled(self) -> Sequence[Queued]:
        return self._in("written", "accepted")

    def count_open(self, task: TaskId) -> int:
        return sum(row.task == task and not row.is_over for row in self.found.values())

    def tell(self, event: QueueEvent) -> None:
        self.told.append(event)

    def _in(self, *states: str) -> Sequence[Queued]:
        return sorted((row for row in self.found.values() if row.state in states), key=lambda row: row.number)
