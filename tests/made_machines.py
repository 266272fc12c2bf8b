"""Machines for tests: the files in which a kernel tells how much memory is free, and how long programs wait."""

import subprocess
from pathlib import Path

from tests.require import needs

__all__ = ["inside", "make_group", "make_machine"]

_MEMINFO = (
    "MemTotal:       16308228 kB\nMemFree:          812340 kB\nMemAvailable:   {kilobytes:8d} kB\nBuffers: 1 kB\n"
)
_PRESSURE = "some avg10={some:.2f} avg60=0.00 avg300=0.00 total=5\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n"


def make_machine(root: Path, *, free: int = 8 * 1024**3, memory: float = 0.0, cpu: float = 0.0) -> None:
    """Write ``root/proc``, or write it again: the files stay the same ones. ``free`` in bytes."""
    pressure = root / "proc/pressure"
    pressure.mkdir(parents=True, exist_ok=True)
    (root / "proc/meminfo").write_text(_MEMINFO.format(kilobytes=free // 1024))
    (pressure / "memory").write_text(_PRESSURE.format(some=memory))
    (pressure / "cpu").write_text(_PRESSURE.format(some=cpu))


def make_group(folder: Path, *, limit: int | str, usage: int, cache: int = 0, version: int = 2) -> None:
    """A control group; a half of ``cache`` was used just now."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, usage), strict=True):
        (folder / name).write_text(f"{value}\n")
    total = "" if version == 2 else "total_"
    lines = [f"anon {usage - cache}", f"{total}active_file {cache // 2}", f"{total}inactive_file {cache - cache // 2}"]
    (folder / "memory.stat").write_text("\n".join([*lines, "shmem 12", ""]))


def inside(root: Path) -> tuple[str, ...]:
    """What comes before a command that is to take ``root/proc`` for what its kernel tells; else the test is skipped."""
    names = ("meminfo", "pressure/memory", "pressure/cpu")
    mounts = " && ".join(f'mount --bind "$0/proc/{name}" /proc/{name}' for name in names)
    command = ("unshare", "--map-root-user", "--mount", "sh", "-c", f'{mounts} && exec "$@"', str(root))
    done = subprocess.run([*command, "true"], check=False, capture_output=True)
    needs("mounts", "allow user namespaces, and a kernel with PSI", present=done.returncode == 0)
    return command
