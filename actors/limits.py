"""The limit of open files: as high as allowed for us, as the user set it for what we start."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["raise_open_files", "users_open_files"]

_user_soft: int | None = None
"""What the user had set, once we have raised it. A property of the process, like the limit itself."""


def raise_open_files() -> None:
    """Take all descriptors that the user may have: 500 workers need some 2,000."""
    global _user_soft  # noqa: PLW0603 - the limit is the process's, so is its memory
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _user_soft is None:
        _user_soft = soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def users_open_files() -> Iterator[None]:
    """What is started inside inherits the user's own soft limit. Open nothing meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft if _user_soft is None else _user_soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
