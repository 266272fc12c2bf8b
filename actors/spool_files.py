"""Opening the files that a streamer reads."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from protocols.kinds import Stream

__all__ = ["open_spools", "read_start"]

_CHECKBOXES_MAX = 256 * 1024


@contextmanager
def open_spools(spools: dict[Stream, Path]) -> Iterator[dict[Stream, int]]:
    with ExitStack() as stack:
        files: dict[Stream, int] = {}
        for stream, path in spools.items():
            try:
                files[stream] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:  # somebody removed it: nothing is left, and that is told as a mismatch
                files[stream] = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, files[stream])
        yield files


def read_start(path: Path) -> bytes:
    """Nothing of what is no plain file: a FIFO would hold up everybody."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        return file.read(_CHECKBOXES_MAX) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
