"""Which processes belong to which attempt."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from actors.keeper_process.ancestry import children_of, walk
from actors.keeper_process.evidence import Evidence, ticks_now
from actors.keeper_process.marks import in_exec
from actors.keeper_process.procfs import Process, read_process

__all__ = ["Census", "Count"]

_Found: TypeAlias = tuple[int, Process]
"""A process, after the pid of the parent under which it was found."""


class Count(NamedTuple):
    """Who was alive."""

    of: dict[str, list[Process]]
    """An entry for each registered attempt, its leader included while that lives."""
    unattributed: list[Process]
    """Processes of this fleet of which nothing tells the attempt."""
    dead: dict[str, list[Process]]
    """Members that ended, and for whose end their parents have not waited yet."""
    moving: bool
    """Something came or went while we looked: that an attempt has nothing left is no proof then. Look again."""


class Census:
    """Knows the attempts of one fleet, and remembers of every living process where it belongs.

    What descends from a process that belongs, belongs. Evidence is needed only for what lost its parent and came to
    a root: the memory of earlier counts, what it shows itself, and if only one attempt was alive when it started,
    that one.
    """

    def __init__(self, fleet: str) -> None:
        self._evidence = Evidence(fleet)
        self._unreaped: dict[str, int] = {}
        self._known: dict[tuple[int, int], str] = {}
        self._doubtful_until = -1
        """When (ticks) something unattributed was last alive: it may be the parent of whatever came until then."""

    def add(self, attempt: str, pid: int, start_ticks: int, outlets: frozenset[str] = frozenset()) -> None:
        """Register a leader. ``outlets``: the pipes, the terminal or the files that it writes to."""
        self._evidence.add(attempt, pid, start_ticks, outlets)
        self._unreaped[attempt] = pid

    def leader_reaped(self, attempt: str) -> None:
        """From now on anybody may get its pid."""
        self._unreaped.pop(attempt, None)

    def remove(self, attempt: str) -> None:
        """Forget an attempt of which nothing is left. An unknown one changes nothing."""
        self._evidence.remove(attempt)
        self.leader_reaped(attempt)

    def orphans(self, root: int) -> list[int]:
        """The children of a root that lead no attempt, zombies too.

        Empty right after reaping, it proves that nothing is left but the trees of living leaders: what loses its
        parent becomes a child of the root in the same moment. (Only the calling thread may reap.)
        """
        leaders = set(self._unreaped.values())
        return [pid for pid in children_of(root) if pid not in leaders]

    def take(self, roots: Sequence[int]) -> Count:
        """Count everything below the roots.

        The first root is the keeper. Another one (a supervisor that holds adopted workers) has children of its own:
        below it only what shows that it is of this fleet counts.
        """
        found, settled = walk(roots)
        living = [(parent, process) for parent, process in found if process.alive]
        owners: dict[int, str] = {}
        unplaced, passing = self._place(living, owners, strangers=set(roots[1:]))
        unattributed = self._place_alone(unplaced, owners)
        self._remember(living, owners, unattributed)
        of: dict[str, list[Process]] = {attempt: [] for attempt in self._evidence.attempts()}
        for _, process in living:
            if process.pid in owners:
                of[owners[process.pid]].append(process)
        dead: dict[str, list[Process]] = {attempt: [] for attempt in of}
        for parent, process in found:
            if parent in owners and not process.alive:
                dead[owners[parent]].append(process)
        return Count(of, unattributed, dead, moving=passing or not settled)

    def _place(
        self, living: Iterable[_Found], owners: dict[int, str], strangers: set[int]
    ) -> tuple[list[_Found], bool]:
        """Add to ``owners`` what descends from a member or shows an attempt, and to ``strangers`` what descends from
        those and shows nothing of this fleet. Return the others, and whether something could not be judged now."""
        unplaced = []
        passing = False
        for parent, process in living:
            owner = self._evidence.led_by(process) or owners.get(parent) or self._recall(process)
            owner = owner or self._evidence.shown_by(process)
            passes = owner is None and _passes(process)
            owner = owner or self._evidence.shown_by(process)  # the first look may have fallen into an exec
            if owner is not None:
                owners[process.pid] = owner
            elif parent in strangers and not self._evidence.of_fleet(process):
                strangers.add(process.pid)
            elif not passes:
                unplaced.append((parent, process))
            passing = passing or passes
        return unplaced, passing

    def _recall(self, process: Process) -> str | None:
        attempt = self._known.get((process.pid, process.start_ticks))
        return attempt if attempt is not None and attempt in self._evidence else None

    def _place_alone(self, unplaced: list[_Found], owners: dict[int, str]) -> list[Process]:
        """Add those to ``owners`` that can be of one attempt only; return the others.

        Not if it may be a child of something older that nobody can place.
        """
        unattributed: list[Process] = []
        for parent, process in sorted(unplaced, key=lambda found: found[1].start_ticks):
            certain = not unattributed and process.start_ticks > self._doubtful_until
            owner = owners.get(parent) or (self._evidence.alone_with(process) if certain else None)
            if owner is None:
                unattributed.append(process)
            else:
                owners[process.pid] = owner
        return unattributed

    def _remember(self, living: Iterable[_Found], owners: dict[int, str], unattributed: list[Process]) -> None:
        now = {(p.pid, p.start_ticks): owners[p.pid] for _, p in living if p.pid in owners}
        missed = {key: owner for key, owner in self._known.items() if key not in now and _lives(*key)}
        self._known = now | missed
        if unattributed:
            self._doubtful_until = ticks_now()
        oldest = min((process.start_ticks for process in unattributed), default=ticks_now())
        self._evidence.forget_past(before=oldest)


def _passes(process: Process) -> bool:
    """It is gone by now, or shows nothing because it is becoming another program."""
    return not _lives(process.pid, process.start_ticks) or in_exec(process.pid)


def _lives(pid: int, start_ticks: int) -> bool:
    process = read_process(pid)
    return process is not None and process.start_ticks == start_ticks and process.alive
