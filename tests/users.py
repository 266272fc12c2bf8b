"""Root may do anything to files; tests of permissions need to be somebody else for a moment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["UNPRIVILEGED", "as_nobody"]

UNPRIVILEGED = ("setpriv", "--bounding-set=-all") if os.geteuid() == 0 else ()
"""What comes before a command that is to run as we do, but without the rights of root."""

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
