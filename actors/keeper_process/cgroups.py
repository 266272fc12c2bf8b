"""Memory limits that the kernel keeps: a cgroup for each worker that has one, where a tree of version 2 is ours."""

import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["Box", "find_place", "open_box", "our_place"]


class Box:
    """The cgroup of one worker. What goes over its limit there is killed by the kernel, all at once.

    Counting goes on besides it: whoever the worker started before it was put in is outside.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, pid: int) -> None:
        with suppress(OSError):  # it has ended already
            (self._folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def burst(self) -> bool:
        """The kernel has killed in it because its limit was reached."""
        try:
            events = (self._folder / "memory.events").read_text(encoding="ascii")
        except OSError:
            return False
        return re.search(r"^oom_kill [1-9]", events, re.MULTILINE) is not None

    def close(self) -> None:
        """To be called when nothing is left in it. While something is, it stays."""
        with suppress(OSError):
            self._folder.rmdir()


def find_place(own: str, mounts: str) -> Path | None:
    """Where we may make cgroups that limit memory: the parent of our own one, if it was delegated to us.

    Our own one is no such place, because who holds processes cannot hand out controllers. Takes the content of
    ``/proc/self/cgroup`` and of ``/proc/self/mountinfo``.
    """
    line = re.search(r"^0::(/.+)$", own, re.MULTILINE)
    mount = re.search(r"^\S+ \S+ \S+ / (\S+) .* - cgroup2 ", mounts, re.MULTILINE)
    if line is None or mount is None:
        return None
    place = Path(mount[1] + line[1]).parent
    try:
        usable = "memory" in (place / "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        return None
    files = (place, place / "cgroup.procs", place / "cgroup.subtree_control")
    return place if usable and _is_delegated(place) and all(os.access(file, os.W_OK) for file in files) else None


@cache
def our_place() -> Path | None:
    """`find_place` for this process."""
    return find_place(
        Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="surrogateescape"),
        Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"),
    )


def open_box(place: Path, attempt: str, memory: float) -> Box | None:
    """None: the kernel wants it otherwise. Said again for the same attempt, it is the same one."""
    folder = place / f"callboard-{attempt}"
    control = place / "cgroup.subtree_control"
    try:
        if "memory" not in control.read_text(encoding="ascii").split():
            control.write_text("+memory", encoding="ascii")
        folder.mkdir(exist_ok=True)
        (folder / "memory.max").write_text(str(int(memory)), encoding="ascii")
        (folder / "memory.oom.group").write_text("1", encoding="ascii")
    except OSError:
        Box(folder).close()
        return None
    with suppress(OSError):  # a kernel without swap has no such file
        (folder / "memory.swap.max").write_text("0", encoding="ascii")
    return Box(folder)


def _is_delegated(place: Path) -> bool:
    """It is ours, or systemd says so: root may write everywhere, and would get in the way of who manages the others."""
    owner = place.stat().st_uid
    if owner == os.geteuid() != 0:
        return True
    with suppress(OSError):
        return os.getxattr(place, "user.delegate") == b"1"
    return False
