"""Which boot and which pid namespace we are in: without them a pid names nobody."""

from functools import cache
from pathlib import Path

__all__ = ["boot_id", "pid_namespace"]


@cache
def boot_id() -> str:
    """Different after each start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@cache
def pid_namespace() -> int:
    """Different in each container that has pids of its own."""
    return Path("/proc/self/ns/pid").stat().st_ino
