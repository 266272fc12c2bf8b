"""What is left of the attempts, found out at most once for all that ask in the same moment."""

import os
from collections.abc import Sequence

from actors.keeper_process.ancestry import descendants
from actors.keeper_process.attempt import Attempt
from actors.keeper_process.census import Census, Count
from actors.keeper_process.marks import find_marked
from actors.keeper_process.procfs import Process, read_process

__all__ = ["Look"]

_MORE_TRIES = 2  # a count during which processes came and went is worth another one


class Look:
    """Good for one moment, right after reaping."""

    def __init__(self, census: Census, roots: Sequence[int], fleet: str) -> None:
        self.count: Count | None = None
        self._census = census
        self._roots = roots
        self._fleet = fleet
        self._orphans: list[int] | None = None

    def take(self) -> Count:
        """Count all processes, once."""
        if self.count is None:
            self.count = self._census.take(self._roots)
            for _ in range(_MORE_TRIES):
                if self.count.moving:
                    self.count = self._census.take(self._roots)
        return self.count

    def members(self, attempt: Attempt) -> list[Process]:
        """Everything alive of an attempt that we may end."""
        if self._surely_empty(attempt):
            return []
        members = self.take().of.get(attempt.id, [])
        if attempt.adopted:
            members = self._with_lost(attempt, members)
        return attempt.left(members)

    def dead(self, attempt: Attempt) -> list[Process]:
        """Who ended, and was not waited for by its parent yet."""
        return self.take().dead.get(attempt.id, [])

    def left(self, attempt: Attempt) -> bool:
        """Whether something of it may live. While processes come and go, nobody can deny it."""
        return bool(self.members(attempt)) or (not self._surely_empty(attempt) and self.take().moving)

    def _surely_empty(self, attempt: Attempt) -> bool:
        """Nothing lost its parent, so nothing outlived its leader. Reads one file of /proc."""
        if attempt.adopted or not attempt.ladder.leader_gone:
            return False
        if self._orphans is None:
            self._orphans = self._census.orphans(os.getpid())
        return not self._orphans

    def _with_lost(self, attempt: Attempt, members: list[Process]) -> list[Process]:
        """An adopted worker may be below neither root: its supervisor died too."""
        found = {process.pid: process for process in members}
        leader = read_process(attempt.pid)
        if leader is not None and leader.start_ticks == attempt.start_ticks and leader.alive:
            found[leader.pid] = leader
            found.update((process.pid, process) for process in descendants(leader.pid) if process.alive)
        found.update((process.pid, process) for process in find_marked(f"{self._fleet}/{attempt.id}"))
        return list(found.values())
