"""The limit of open files: as high as allowed for us, as the user set it for what we start."""

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from actors.keeper_process.low import LowDescriptors

__all__ = ["raise_open_files", "users_open_files"]

_user_soft: int | None = None
"""What the user had set, once we have raised it. A property of the process, like the limit itself."""
_low: LowDescriptors | None = None


def raise_open_files() -> None:
    """Take all descriptors that the user may have: 500 workers need some 2,000."""
    global _low, _user_soft  # noqa: PLW0603 - the limit is the process's, so is its memory
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _user_soft is None:
        _user_soft = soft
        _low = LowDescriptors(2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def users_open_files(*fds: int) -> Iterator[Sequence[int]]:
    """What is started inside inherits the user's own soft limit. Open nothing meanwhile.

    Yields the numbers under which ``fds``, two at most, can be handed on.
    """
    if _user_soft is None or _low is None:
        yield fds
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with _low.hold(fds) as places:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_user_soft, hard))
        try:
            yield places
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
