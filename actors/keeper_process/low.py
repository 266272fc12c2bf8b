"""Low numbers for descriptors that go to a new process."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["LowDescriptors"]


class LowDescriptors:
    """Places that are taken early, while there are few files.

    ``posix_spawn`` refuses to duplicate a descriptor whose number is not below the soft limit of open files. We have
    more files open than a user may have set as the limit that a worker is to inherit.
    """

    def __init__(self, count: int) -> None:
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._places = [os.dup(self._null) for _ in range(count)]

    @contextmanager
    def hold(self, fds: Sequence[int]) -> Iterator[list[int]]:
        """The numbers under which these can be handed on; afterwards nothing is open there."""
        places = self._places[: len(fds)]
        try:
            for fd, place in zip(fds, places, strict=True):
                os.dup2(fd, place, inheritable=False)
            yield places
        finally:
            for place in places:
                os.dup2(self._null, place, inheritable=False)

    def close(self) -> None:
        for fd in (self._null, *self._places):
            os.close(fd)
