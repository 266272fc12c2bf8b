"""Limits that the kernel keeps for a worker and all that it starts: how nice it is, and how many files it opens."""

import os
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from actors.keeper_process.worker_limits import Limits

__all__ = ["bind", "with_niceness"]


def with_niceness(nice: int, start: Callable[[], int]) -> int:
    """Call ``start`` so that what it starts is at least that nice from its first instruction on.

    We may make ourselves nicer but not less nice again. On Linux niceness belongs to a thread, so one is spent on it.
    """
    if not nice:
        return start()
    pids: list[int] = []
    errors: list[OSError] = []

    def run() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))
            pids.append(start())
        except OSError as exc:
            errors.append(exc)

    thread = threading.Thread(target=run, name="spawn")
    thread.start()
    thread.join()  # as long as a start takes
    if errors:
        raise errors[0]
    return pids[0]


def bind(pid: int, limits: Limits) -> None:
    """What can be said only of a process that is there: its first milliseconds do not matter."""
    with suppress(ProcessLookupError):  # it has ended already
        if limits.open_files is not None:  # it has the soft limit since its start; now it may not raise it again
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
    if limits.nice:
        # Where the kernel groups by session, niceness counts only inside a group, and the group has one of its own. It
        # takes ten of these a second from who is not root: the rest is as fair as it was.
        with suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(limits.nice), encoding="ascii")
