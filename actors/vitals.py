"""What process trees use: CPU time, memory and numbers of processes, of all workers in one sweep over ``/proc``."""

import os
import resource
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Root", "Sampler", "Vitals"]

Key = TypeVar("Key", bound=Hashable)

_STAT_SIZE = 2048  # 52 numbers and a name of at most 64 bytes
_TICK = float(os.sysconf("SC_CLK_TCK"))
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MOST = 1000  # processes of one tree that are followed
_SHARE = 4  # a fourth of the descriptors that we may have
_AFRESH = 12  # sweeps; a pid that belonged to somebody else may be one of ours by then


class Root(NamedTuple):
    """The leader of a tree. Both numbers together name a process until the next boot."""

    pid: int
    start_ticks: int


class Vitals(NamedTuple):
    """What one sweep saw of a tree: its leader, all that descend from it, and what else is in the leader's session."""

    alive: bool
    """The leader has not ended."""
    cpu: float
    """CPU seconds that the tree has used since it began. Never less than the sweep before."""
    rss: int
    """Bytes. What processes share counts for each of them."""
    descendants: int
    """Living processes besides the leader."""
    zombies: int
    """Those of them that ended and that nobody waited for."""
    partial: bool
    """There are too many processes to follow each: the figures are too low."""


@dataclass(slots=True)
class _Process:
    pid: int
    fd: int
    """Of its stat file; -1 while it is not kept. Once it is reaped that gives ESRCH, whoever has its pid then."""
    line: bytes
    parent: int = 0
    session: int = 0
    start: int = 0
    alive: bool = True
    own: int = 0
    """Ticks that it used itself."""
    all: int = 0
    """The same with those of the children that it waited for."""
    pages: int = 0

    def take(self, line: bytes) -> None:
        """Understand a line of the stat file. An idle process has the same one again and again."""
        self.line = line
        values = line[line.rindex(b") ") + 2 :].split(None, 22)
        self.alive = values[0] not in b"ZX" or int(values[17]) > 1
        self.parent, self.session, self.start = int(values[1]), int(values[3]), int(values[19])
        self.own = int(values[11]) + int(values[12])
        self.all = self.own + int(values[13]) + int(values[14])
        self.pages = int(values[21])


@dataclass(slots=True)
class _Tree:
    root: Root
    processes: dict[int, _Process] = field(default_factory=dict)
    """By pid, those that ended but were not reaped too."""
    own: int = 0
    """Ticks that living processes used themselves since the last sweep."""
    total: int = 0
    """Of all processes, with those of the children that they waited for."""
    before: int = 0
    """The same at the last sweep."""
    used: int = 0
    partial: bool = False

    def add(self, process: _Process) -> None:
        self.processes[process.pid] = process
        self.own += process.own
        self.total += process.all

    def take(self, process: _Process, line: bytes) -> None:
        own, all_ = process.own, process.all
        process.take(line)
        self.own += process.own - own
        self.total += process.all - all_

    def drop(self, process: _Process) -> None:
        del self.processes[process.pid]
        self.total -= process.all

    def has_session(self) -> bool:
        """While one of ours is in the leader's session, no other one can have its number."""
        return any(process.session == self.root.pid for process in self.processes.values())

    def vitals(self) -> Vitals:
        """To be called once a sweep.

        The time of a child goes over to whoever waited for it. Where nobody did, it is gone from the total: then at
        least what the living used is known.
        """
        self.used += max(self.total - self.before, self.own, 0)
        self.before, self.own = self.total, 0
        leader = self.processes.get(self.root.pid)
        living = sum(process.alive for process in self.processes.values())
        alive = leader is not None and leader.alive
        others = len(self.processes) - (leader is not None)
        pages = sum(process.pages for process in self.processes.values())
        below = living - alive
        return Vitals(alive, self.used / _TICK, pages * _PAGE, below, others - below, self.partial)


@dataclass(slots=True)
class Sampler(Generic[Key]):
    """Sweeps over the same trees again and again. One thread at a time."""

    room: int = field(default_factory=lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _SHARE)
    """How many descriptors it may keep."""
    _trees: dict[Key, _Tree] = field(default_factory=dict, init=False)
    _strangers: set[int] = field(default_factory=set, init=False)
    """Pids of processes of nobody: they need not be read again."""
    _sweeps: int = field(default=0, init=False)
    _kept: int = field(default=0, init=False)
    _sweeping: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)

    def sweep(self, roots: Mapping[Key, Root], *, tree: bool = True) -> dict[Key, Vitals]:
        """Look at these trees. Without ``tree`` no new processes are looked for.

        Where a leader is gone, or never was what ``roots`` says, what is left of its tree is told.
        """
        self._sweeping = True
        try:
            self._reconcile(roots)
            for each in self._trees.values():
                self._refresh(each)
            if tree:
                self._find_new()
            return {key: each.vitals() for key, each in self._trees.items()}
        finally:
            self._sweeping = False
            if self._closed:
                self._close()

    def close(self) -> None:
        """Keep nothing any more. A sweep that is under way in another thread does it when it is done."""
        self._closed = True
        if not self._sweeping:
            self._close()

    def _reconcile(self, roots: Mapping[Key, Root]) -> None:
        for key in [key for key, each in self._trees.items() if roots.get(key) != each.root]:
            for process in self._trees.pop(key).processes.values():
                self._let_go(process)
        for key, root in roots.items():
            if key in self._trees:
                continue
            tree = self._trees[key] = _Tree(root)
            leader = _read(root.pid)
            if leader is not None and leader.start == root.start_ticks:
                tree.add(leader)
            self._strangers.clear()  # its children may be among them

    def _refresh(self, tree: _Tree) -> None:
        gone: list[_Process] = []
        for process in tree.processes.values():
            line = self._line(process)
            if line is None:
                gone.append(process)
            elif line != process.line:
                tree.take(process, line)
        for process in gone:
            tree.drop(process)
            self._let_go(process)
        tree.partial = len(tree.processes) >= _MOST

    def _line(self, process: _Process) -> bytes | None:
        """None: it is gone."""
        if process.fd >= 0:
            try:
                return os.pread(process.fd, _STAT_SIZE, 0)
            except ProcessLookupError:
                return None
        keep = self._kept < self.room
        found = _read(process.pid, keep=keep)
        if found is None:
            return None
        if found.start != process.start:
            _close(found)
            return None
        process.fd = found.fd
        self._kept += keep
        return found.line

    def _find_new(self) -> None:
        """Look at every process that was not there before."""
        self._sweeps += 1
        if self._sweeps % _AFRESH == 0:
            self._strangers.clear()
        owners = {pid: tree for tree in self._trees.values() for pid in tree.processes}
        pids = {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208 - hot
        self._strangers &= pids
        new = [process for pid in pids - self._strangers - owners.keys() if (process := _read(pid)) is not None]
        self._strangers.update(process.pid for process in self._adopt(new, owners))

    def _adopt(self, new: Iterable[_Process], owners: dict[int, _Tree]) -> list[_Process]:
        """Give each to the tree of its parent or of its session; return those of nobody."""
        sessions = {tree.root.pid: tree for tree in self._trees.values() if tree.has_session()}
        left, before = list(new), -1
        while len(left) != before:  # a parent may stand behind its child
            before, waiting = len(left), left
            left = []
            for process in waiting:
                tree = owners.get(process.parent) or sessions.get(process.session)
                if tree is None:
                    left.append(process)
                elif len(tree.processes) < _MOST:
                    tree.add(process)
                    owners[process.pid] = tree
                else:
                    tree.partial = True
        return left

    def _let_go(self, process: _Process) -> None:
        self._kept -= process.fd >= 0
        _close(process)

    def _close(self) -> None:
        while self._trees:
            _, tree = self._trees.popitem()
            for process in tree.processes.values():
                self._let_go(process)


def _read(pid: int, *, keep: bool = False) -> _Process | None:
    """None: there is none with this pid, or it is hidden from us."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        line = os.read(fd, _STAT_SIZE)
    except ProcessLookupError:  # it was reaped after the open
        os.close(fd)
        return None
    process = _Process(pid, fd, b"")
    process.take(line)
    if not keep:
        _close(process)
    return process


def _close(process: _Process) -> None:
    fd, process.fd = process.fd, -1
    if fd >= 0:
        os.close(fd)
