"""Files of ours: replaced as a whole or not at all, and readable by nobody else."""

import os
import secrets
from pathlib import Path

__all__ = ["make_folder", "replace_file"]


def replace_file(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Readers see the old content or the new one, never a part. Raise ``OSError`` and leave nothing behind.

    ``sync``: it is on the disk before anybody says so.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.fchmod(fd, 0o600)  # whatever the umask says
            _write_all(fd, data)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def make_folder(path: Path) -> None:
    """A new folder that only we can enter. Raise ``OSError``, ``FileExistsError`` among them."""
    path.mkdir(mode=0o700)
    path.chmod(0o700)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
