"""Which of a fleet's own workers a process that asks for something belongs to."""

import os

from actors.keeper_process.marks import attempt_of, in_exec, mark_of
from actors.keeper_process.procfs import read_process
from protocols.ids import AttemptId, FleetId

__all__ = ["find_worker"]

_DEEPEST = 64  # processes below each other; a chain that is longer is looked at up to there


def find_worker(pid: int, fleet: FleetId) -> AttemptId | None:
    """The attempt in whose tree the process lives: by its own mark, or that of one that it descends from.

    Empty where that cannot be told but might be: the process is gone, or it descends from us without a mark.
    """
    if pid in {0, os.getpid()}:  # 0: of a namespace of processes that we do not see
        return None
    process = read_process(pid)
    if process is None or in_exec(pid):
        return AttemptId("")
    for _ in range(_DEEPEST):
        if process is None:  # an ancestor that is hidden from us is none of our workers
            return None
        if (attempt := attempt_of(mark_of(process.pid) or "", fleet)) is not None:
            return AttemptId(attempt)
        if process.ppid == os.getpid():
            return AttemptId("")
        process = read_process(process.ppid)
    return None
