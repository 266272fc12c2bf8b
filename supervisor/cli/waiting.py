"""How a worker came out that somebody has waited for."""

import sys

from protocols.port_results import WorkerLine
from supervisor.table import one_line

__all__ = ["tell_end"]


def tell_end(line: WorkerLine) -> int:
    """Say it where it is a bad end, and return the exit code: 0 or 1."""
    if line.status in {"succeeded", "skipped"}:
        return 0
    why = line.reason or line.end
    print(one_line(f"{line.task}: {line.status}{f': {why}' if why else ''}"), file=sys.stderr)
    return 1
