"""Who descends from whom."""

import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from actors.keeper_process.procfs import Process, list_processes, read_process

__all__ = ["Walk", "children_of", "descendants", "walk"]

HAS_CHILDREN_FILES = Path("/proc/thread-self/children").exists()  # not in every kernel
_READ_SIZE = 64 * 1024
_ROUNDS = 8


class Walk(NamedTuple):
    found: list[tuple[int, Process]]
    """Each process with the pid of the parent under which it was found; parents first, zombies too, no roots."""
    settled: bool
    """The last look at the roots' children showed nothing new.

    Where a root is a subreaper whose children only the calling thread reaps, then no living process can have been
    missed together with all its ancestors: whoever loses its parent comes to the end of the root's list.
    """


def children_of(pid: int) -> list[int]:
    """The pids of its children, zombies too. Empty if there is no such process."""
    return _children_lister()(pid, None)


def descendants(pid: int) -> list[Process]:
    """Children, their children and so on, parents first, zombies too."""
    return [process for _, process in walk([pid]).found]


def walk(roots: Sequence[int]) -> Walk:
    """Walk all trees below the roots; then look at the roots' children again, until nothing is new there."""
    seen = set(roots)
    found: list[tuple[int, Process]] = []
    for _ in range(_ROUNDS):
        new = [below for root in roots for below in _walk_below(root, seen)]
        if not new:
            return Walk(found, settled=True)
        found += new
    return Walk(found, settled=False)


def _walk_below(root: int, seen: set[int]) -> Iterator[tuple[int, Process]]:
    """Yield what is not in ``seen``, and add it there. Below the root only new processes are asked for children."""
    children = _children_lister()
    queue: deque[tuple[int, int | None]] = deque([(root, None)])
    while queue:
        parent, threads = queue.popleft()
        for pid in children(parent, threads):
            process = read_process(pid) if pid not in seen else None
            # Gone since the list was read, or even followed by a stranger with the same pid.
            if process is None or process.ppid not in seen:
                continue
            seen.add(pid)
            yield parent, process
            if process.alive:
                queue.append((pid, process.threads))


def _children_lister() -> Callable[[int, int | None], list[int]]:
    """How to list the children of a pid with so many threads (None: unknown). Good for one walk."""
    return _read_children if HAS_CHILDREN_FILES else _scan_children()


def _read_children(pid: int, threads: int | None) -> list[int]:
    if threads == 1:
        return _read_children_file(f"/proc/{pid}/task/{pid}/children")
    try:
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - hot
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [child for task in tasks for child in _read_children_file(f"/proc/{pid}/task/{task}/children")]


def _read_children_file(path: str) -> list[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return []
    try:
        content = b""
        while part := os.read(fd, _READ_SIZE):  # a page at most for each read, whatever is asked for
            content += part
    except ProcessLookupError:
        return []
    finally:
        os.close(fd)
    return [int(pid) for pid in content.split()]


def _scan_children() -> Callable[[int, int | None], list[int]]:
    """One look at all processes, for kernels without children files."""
    children = defaultdict[int, list[int]](list)
    for process in list_processes():
        children[process.ppid].append(process.pid)
    return lambda pid, _: children.get(pid, [])
