"""The mark in the environment that tells to which fleet and attempt a process belongs."""

import os
from pathlib import Path

from actors.keeper_process.procfs import Process, list_processes

__all__ = ["attempt_of", "find_marked", "in_exec", "mark_of"]

_VARIABLE = b"CALLBOARD_MARK="


def mark_of(pid: int) -> str | None:
    """The mark with which the process was started: ``FLEET/ATTEMPT``, chained by ``:``, outermost first.

    None: there is none, or the process is gone or not ours to read. What a program does to its own environment
    does not show.
    """
    for entry in (_read(f"/proc/{pid}/environ") or b"").split(b"\0"):
        if entry.startswith(_VARIABLE):
            return os.fsdecode(entry.removeprefix(_VARIABLE))
    return None


def in_exec(pid: int) -> bool:
    """Whether the process is just becoming another program, or about to be a zombie: it shows no mark then."""
    return not _read(f"/proc/{pid}/cmdline") and not _read(f"/proc/{pid}/environ")


def attempt_of(mark: str, fleet: str) -> str | None:
    """The attempt that the mark names for this fleet, wherever it stands in the chain."""
    prefix = f"{fleet}/"
    for part in mark.split(":"):
        if part.startswith(prefix):
            return part.removeprefix(prefix)
    return None


def find_marked(prefix: str) -> list[Process]:
    """Every living process but our own of whose mark one part starts with ``prefix``.

    What is just in the middle of an exec is missing: look again.
    """
    ourselves = os.getpid()
    return [
        process
        for process in list_processes()
        if process.alive and process.pid != ourselves and _is_marked(process.pid, prefix)
    ]


def _is_marked(pid: int, prefix: str) -> bool:
    mark = mark_of(pid)
    return mark is not None and any(part.startswith(prefix) for part in mark.split(":"))


def _read(path: str) -> bytes | None:
    """None: the process is gone or not ours to read."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
