"""What a living process has used."""

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["Memory", "cpu_seconds", "memory"]

_TICK = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """In bytes."""

    rss: int
    pss: int
    """Pages that several processes share are counted once."""


def cpu_seconds(pid: int) -> float:
    """CPU time of one living process, all its threads, in steps of a clock tick."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int) -> Memory:
    """What one living process holds."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines[1:])}
    return Memory(sizes["Rss"], sizes["Pss"])
