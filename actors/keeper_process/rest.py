"""Processes below the keeper that belong to no attempt: reported once, and ended with the fleet."""

import os
import signal
from collections.abc import Callable, Iterable

from actors.keeper_process.ancestry import descendants
from actors.keeper_process.procfs import Process, describe
from actors.keeper_process.signals import signal_one

__all__ = ["Rest"]

_CLEAN_LOOKS = 3


class Rest:
    """``tell`` gets the reports."""

    def __init__(self, tell: Callable[[dict[str, object]], None]) -> None:
        self._tell = tell
        self._reported: dict[tuple[int, int], Process] = {}
        self._ended: dict[tuple[int, int], str] = {}
        self._out_of_reach: set[tuple[int, int]] = set()

    @property
    def ended(self) -> list[str]:
        """What `sweep` has ended, as ``pid command``."""
        return list(self._ended.values())

    def note(self, processes: Iterable[Process]) -> None:
        """Report those that are new since the last count."""
        found = {(process.pid, process.start_ticks): process for process in processes}
        for key, process in found.items():
            if key not in self._reported:
                _, _, command = describe(process).partition(" ")
                self._tell({"type": "unattributed", "pid": process.pid, "command": command})
        self._reported = found

    def repeat(self) -> None:
        """The next count reports all of them again."""
        self._reported = {}

    def terminate(self) -> None:
        for process in self._reported.values():
            signal_one(process, signal.SIGTERM)

    def sweep(self) -> bool:
        """Kill whatever lives below us. True: there was nothing, three times in a row.

        To be called after reaping, and when no attempt lives.
        """
        return not any(self._kill_found() for _ in range(_CLEAN_LOOKS))

    def _kill_found(self) -> bool:
        living = {(p.pid, p.start_ticks): p for p in descendants(os.getpid()) if p.alive}
        found = {key: process for key, process in living.items() if key not in self._out_of_reach}
        for key, process in found.items():
            self._ended.setdefault(key, describe(process))
            if not signal_one(process, signal.SIGKILL):
                self._out_of_reach.add(key)
        return bool(found)
