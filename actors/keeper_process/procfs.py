"""Reading processes from ``/proc``."""

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["Process", "describe", "list_processes", "parse_stat", "read_process"]

DESCRIPTION_LIMIT = 200
_STAT_SIZE = 4096  # 52 numbers and a name of at most 64 bytes
_COMMAND_LINE_SIZE = 4096


class Process(NamedTuple):
    """A process as ``/proc/PID/stat`` showed it. ``pid`` and ``start_ticks`` together name it until the next boot."""

    pid: int
    ppid: int
    pgrp: int
    session: int
    start_ticks: int
    """Since boot, in clock ticks (``sysconf("SC_CLK_TCK")`` a second)."""
    state: str
    threads: int
    command: str
    """The kernel's short name of the program; bytes that are no UTF-8 come as surrogates."""
    ticks: int = 0
    """Of CPU time that it used."""
    waited_ticks: int = 0
    """Of CPU time that those of its children used for whose end it has waited, and theirs."""
    pages: int = 0
    """Of memory; those that it shares count in full."""

    @property
    def alive(self) -> bool:
        """False for a zombie. When only the main thread has ended, the kernel says zombie of a living process."""
        return self.state not in "ZX" or self.threads > 1


def parse_stat(line: bytes) -> Process:
    """Parse the content of ``/proc/PID/stat``. Raise ``ValueError`` for anything else.

    The name in parentheses may hold any bytes, parentheses and line breaks too; only the last one ends it.
    """
    pid, _, rest = line.partition(b" (")
    command, end, fields = rest.rpartition(b") ")
    values = fields.split()
    if not end or len(values) < 22:
        raise ValueError(f"not a line of /proc/PID/stat: {line[:80]!r}")
    return Process(
        pid=int(pid),
        ppid=int(values[1]),
        pgrp=int(values[2]),
        session=int(values[3]),
        start_ticks=int(values[19]),
        state=values[0].decode("ascii"),
        threads=int(values[17]),
        command=os.fsdecode(command),
        ticks=int(values[11]) + int(values[12]),
        waited_ticks=int(values[13]) + int(values[14]),
        pages=int(values[21]),
    )


def read_process(pid: int) -> Process | None:
    """The process, a zombie too. None: there is none with this pid, or it is hidden from us (``hidepid``)."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    try:
        return parse_stat(os.read(fd, _STAT_SIZE))
    except ProcessLookupError:  # it was reaped after the open
        return None
    finally:
        os.close(fd)


def list_processes() -> list[Process]:
    """Every process that we may see, zombies too."""
    found = (read_process(int(name)) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - hot
    return [process for process in found if process is not None]


def describe(process: Process) -> str:
    """``pid command``, printable, at most 200 characters; ``[name]`` where no command line can be read."""
    try:
        with Path(f"/proc/{process.pid}/cmdline").open("rb") as file:
            line = file.read(_COMMAND_LINE_SIZE)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        line = b""
    text = os.fsdecode(line.rstrip(b"\0").replace(b"\0", b" ")) or f"[{process.command}]"
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return f"{process.pid} {printable}"[:DESCRIPTION_LIMIT]
