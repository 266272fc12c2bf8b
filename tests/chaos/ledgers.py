"""What the workers of a round noted of themselves."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from actors.keeper_process.procfs import Process, read_process

__all__ = ["Ledger", "Said", "living", "read_ledger"]


@dataclass(slots=True)
class Said:
    """What a worker says that it wrote to one stream."""

    least: int = 0
    """Bytes whose write has returned."""
    most: int = 0
    """The same with the write that was under way."""
    sha: str = ""
    """Of the first ``least`` bytes."""
    room: int = 0
    """Bytes that the kernel keeps at most until somebody reads them."""


@dataclass(slots=True)
class Ledger:
    streams: dict[int, Said] = field(default_factory=dict)
    code: int | None = None
    """With which it was about to exit."""


def read_ledger(path: Path) -> Ledger:
    """Empty where the worker did not get so far."""
    ledger = Ledger()
    for line in path.read_text().splitlines() if path.exists() else []:
        match line.split():
            case ["before", fd, end]:
                ledger.streams.setdefault(int(fd), Said()).most = int(end)
            case ["after", fd, end, sha, room]:
                said = ledger.streams[int(fd)]
                said.least, said.sha, said.room = int(end), sha, max(said.room, int(room))
            case ["exit", code]:
                ledger.code = int(code)
            case _:
                raise ValueError(f"{path}: what does this mean: {line}")
    return ledger


def living(folder: Path) -> list[Process]:
    """The processes that noted themselves and have not ended."""
    return [process for process in _noted(folder / "pids") if process.alive]


def _noted(pids: Path) -> Iterator[Process]:
    for line in pids.read_text().splitlines() if pids.exists() else []:
        pid, start_ticks = map(int, line.split())
        process = read_process(pid)
        if process is not None and process.start_ticks == start_ticks:
            yield process
