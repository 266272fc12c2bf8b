"""The terminal that standard output may be."""

import shutil
import sys

__all__ = ["terminal_width"]


def terminal_width() -> int | None:
    """Its columns; None where there is no terminal, and nothing need be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
