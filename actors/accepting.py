"""Taking connections, also where the process has no descriptor left for a while."""

import errno
from typing import TypeVar

import trio

__all__ = ["accept_patiently"]

_PAUSE = 0.1
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

T = TypeVar("T", bound=trio.abc.AsyncResource)


async def accept_patiently(listener: trio.abc.Listener[T]) -> T:
    """The next connection. Raise what else `accept` raises."""
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS:
                raise
            await trio.sleep(_PAUSE)
