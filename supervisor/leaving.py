"""Trio for commands that somebody leaves: what ends them comes out as it is, not in a group."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

__all__ = ["run_command"]

T = TypeVar("T")


def run_command(work: Callable[[], Awaitable[T]]) -> T:
    """As `trio.run`. An interrupt, or an error of the operating system such as a broken pipe, is raised alone."""
    try:
        return trio.run(work)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, KeyboardInterrupt | OSError):
            raise error from None
        raise
