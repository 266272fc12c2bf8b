"""Files of ours: replaced as a whole or not at all, and readable by nobody else."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["make_folder", "replace_file", "replacing"]


def replace_file(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Readers see the old content or the new one, never a part. Raise ``OSError`` and leave nothing behind.

    ``sync``: it is on the disk before anybody says so.
    """
    with replacing(path, sync=sync) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, *, sync: bool = False) -> Iterator[BinaryIO]:
    """The same for what is written bit by bit: it takes its place at the end of the body, unless that fails."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - it is open
            os.fchmod(fd, 0o600)  # whatever the umask says
            yield file
            file.flush()
            if sync:
                os.fsync(fd)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """A new folder that only we can enter. Raise ``OSError``, ``FileExistsError`` among them."""
    path.mkdir(mode=0o700)
    path.chmod(0o700)
