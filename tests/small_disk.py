"""A disk so small that a test can fill it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.require import needs

__all__ = ["enlarge", "small_disk"]


@contextmanager
def small_disk(folder: Path, size: str = "256k") -> Iterator[Path]:
    """Mount a tmpfs on a new ``folder``; skip the test where we may not mount."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False, capture_output=True
    )
    needs("mount", "run the tests as root, with the right to mount", present=mounted.returncode == 0)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def enlarge(disk: Path, size: str = "2m") -> None:
    """Give it more room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
