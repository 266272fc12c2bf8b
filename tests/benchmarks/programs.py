"""The programs that the benchmarks run: in C where there is a compiler, else the same in Python."""

import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["Programs"]

_SOURCES = Path(__file__).resolve().parent
_BLOCK = 8 * 1024
_POUR = f"""
import os, sys
worker, blocks = sys.argv[1], int(sys.argv[2])
body = b"[info] checked src/module/file.c in 12 ms\\n" * 200
for number in range(blocks):
    stamp = f"worker {{worker}}: {{number * 100 // blocks}}% done, block {{number:012}}\\n".encode()
    block = stamp + body[: {_BLOCK} - len(stamp)]
    while block:
        block = block[os.write(1, block) :]
"""
_TICK = """
import os, sys, time
count, interval, delay = int(sys.argv[1]), float(sys.argv[2]) / 1000, float(sys.argv[3]) / 1000
due = time.monotonic() + delay
for number in range(count):
    time.sleep(max(0.0, due - time.monotonic()))
    os.write(1, b"%d\\n" % time.monotonic_ns())
    due += interval
"""
_IN_PYTHON = {"pour": _POUR, "tick": _TICK}


class Programs:
    """Builds into ``folder`` what is asked for, once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._compiler = shutil.which("cc")

    def command(self, name: str) -> tuple[str, ...]:
        """How to call ``pour`` or ``tick``; their arguments follow."""
        return self.compiled(name) or (sys.executable, "-I", "-S", "-c", _IN_PYTHON[name])

    def compiled(self, name: str) -> tuple[str, ...]:
        """The same, empty where there is no C compiler."""
        if self._compiler is None:
            return ()
        target = self._folder / name
        if not target.exists():
            subprocess.run(
                [self._compiler, "-O2", "-Wall", "-Werror", "-o", str(target), str(_SOURCES / f"{name}.c")], check=True
            )
        return (str(target),)
