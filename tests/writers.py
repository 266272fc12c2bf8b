"""Workers that note what they have written, so that a test can tell whether all of it was kept."""

from pathlib import Path

from tests.keeper_client import is_alive
from tests.running import RunningPlan, python

__all__ = ["WHO", "WRITE", "acknowledged", "has_line_numbers", "living", "writer"]

WRITE = 8192
"""Bytes of one write. A pipe holds eight of them."""

_POUR = f"""
import os, signal, time
{{prologue}}
note = os.open("{{name}}.acknowledged", os.O_WRONLY | os.O_CREAT)
done = number = 0
while done < {{size}}:
    block = b"".join(b"%15d\\n" % line for line in range(number, number + {WRITE // 16}))
    number += {WRITE // 16}
    while block:
        count = os.write(1, block)
        done += count
        block = block[count:]
        os.pwrite(note, b"%20d" % done, 0)
    {{pause}}
{{epilogue}}
"""
WHO = 'echo $$ >> "$PIDS"'
"""For a shell: enters its process among those that `living` looks for."""


def writer(
    name: str, *, size: float = float("inf"), pause: float = 0.0, prologue: str = "", epilogue: str = "", **keys: object
) -> str:
    """A task that writes numbered lines and notes after each write how much of it the kernel has taken.

    ``size`` in bytes, ``pause`` in seconds after each write.
    """
    wait = f"time.sleep({pause})" if pause else ""
    script = _POUR.format(name=name, size=f"float('{size}')", pause=wait, prologue=prologue, epilogue=epilogue)
    return python(name, script, **keys)


def acknowledged(run: RunningPlan, name: str) -> int:
    """How many bytes the worker knows to be written."""
    note = run.cwd / f"{name}.acknowledged"
    return int(note.read_bytes() or 0) if note.exists() else 0


def has_line_numbers(data: bytes) -> bool:
    """Whether this is what a writer wrote from its beginning, cut anywhere."""
    whole = -(-len(data) // 16)
    return b"".join(b"%15d\n" % number for number in range(whole))[: len(data)] == data


def living(pids: Path) -> list[int]:
    """The processes that are entered in this file and have not ended."""
    return [pid for pid in map(int, pids.read_text().split()) if is_alive(pid)] if pids.exists() else []
