"""Ledgers of each kind, on a clock that a test moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from actors.ledger import FileLedger, Patience
from actors.ledger_file import open_ledger
from protocols.events import TaskStatusChanged
from protocols.ids import TaskId
from protocols.ledger import Changed, Entry, Ledger, Need, On
from protocols.task_events import TaskUnblocked
from tests.memory_ledger import MemoryLedger

__all__ = ["KINDS", "LEASE", "Clock", "entry", "told"]

LEASE = 30.0


@dataclass
class Clock:
    time: float = 1000.0

    def __call__(self) -> float:
        return self.time


@asynccontextmanager
async def _in_memory(path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    yield MemoryLedger(clock=clock, now=clock, lease=LEASE)


@asynccontextmanager
async def _in_file(path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    tokens = count()
    file = open_ledger(path, clock=clock, now=clock, lease=LEASE, new_token=lambda: str(next(tokens)))
    with closing(file):
        yield FileLedger(file, Patience())


KINDS = {"memory": _in_memory, "file": _in_file}


def entry(name: str, *needs: str | tuple[str, On], **fields: object) -> Entry:
    wanted = [Need(TaskId(need)) if isinstance(need, str) else Need(TaskId(need[0]), need[1]) for need in needs]
    return Entry(id=TaskId(name), needs=tuple(wanted), **fields)  # type: ignore[arg-type] # the test names the field


def told(changed: Changed) -> list[tuple[str, ...]]:
    """``(task, status)``, with the reason where there is one; ``(task, "unblocked", reason)``."""
    found: list[tuple[str, ...]] = []
    for each in changed.told:
        match each.event:
            case TaskStatusChanged(task=task, status=status, reason=reason):
                found.append((task, status, reason) if reason else (task, status))
            case TaskUnblocked(task=task, reason=reason):
                found.append((task, "unblocked", reason))
            case event:
                found.append((str(event.__struct_config__.tag),))
    return found
