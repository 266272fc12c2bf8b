"""Which of a fleet's own workers a process that asks for something belongs to."""

import os
from pathlib import Path

from actors.keeper_process.marks import attempt_of, in_exec, mark_of
from actors.keeper_process.procfs import read_process
from protocols.ids import AttemptId, FleetId

__all__ = ["find_worker"]

_DEEPEST = 64  # processes below each other; a chain that is longer is looked at up to there


def find_worker(pid: int, fleet: FleetId) -> AttemptId | None:
    """The attempt in whose tree the process lives: by its own mark, or that of one that it descends from.

    Empty where that cannot be told but might be: the process is gone, or it descends from us or from our keeper without
    a mark.
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
        if process.ppid == os.getpid() or _is_keeper(process.pid, fleet):
            return AttemptId("")
        process = read_process(process.ppid)
    return None


def _is_keeper(pid: int, fleet: FleetId) -> bool:
    """Its last argument is the fleet that it keeps (see `actors.keeper_link`). One of an earlier supervisor is no child
    of ours."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"\0{fleet}\0".encode())
    except OSError:
        return False
