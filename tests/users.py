"""Root may do anything to files; tests of permissions need to be somebody else for a moment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["as_nobody"]

_NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, where we have them."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
