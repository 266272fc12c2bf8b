"""What reaches a living worker from outside: bytes that it reads, and an interrupt."""

import errno
import os
import signal

from actors.keeper_process.attempt import Attempt
from actors.keeper_process.pipes import waiting_in
from actors.keeper_process.signals import signal_group
from actors.keeper_process.terminal import interrupt_foreground

__all__ = ["NoInputError", "interrupt", "send", "unread", "write"]


class NoInputError(Exception):
    """It cannot be reached, for a reason that the text tells; ``code`` is an errno's name."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def write(attempt: Attempt, data: bytes) -> int:
    """Write to its stdin, or type at its terminal, without waiting. Return how many bytes it took; a pipe takes all or
    nothing of 4096. Raise `NoInputError`."""
    fd = _input(attempt)
    os.set_blocking(fd, False)
    try:
        return os.write(fd, data)
    except BlockingIOError as exc:
        raise NoInputError("EAGAIN", "its input is full, as it reads nothing; try again later") from exc
    except OSError as exc:
        if exc.errno not in {errno.EPIPE, errno.EIO}:
            raise
        raise NoInputError("EPIPE", "it has closed its input") from exc


def unread(attempt: Attempt) -> int:
    """How many bytes of what was written to its stdin, a pipe, wait there. Raise `NoInputError`."""
    _check_living(attempt)
    if attempt.stdin is None:
        raise NoInputError("EBADF", "it has no pipe as its input, or no more")
    return waiting_in(attempt.stdin)


def interrupt(attempt: Attempt) -> None:
    """SIGINT to who is in the foreground of its terminal, else to its process group. Raise `NoInputError`."""
    _check_living(attempt)
    ends = attempt.ends.get("terminal")
    if ends is not None and interrupt_foreground(ends[0]):
        return
    if not signal_group(attempt, signal.SIGINT):
        raise NoInputError("ESRCH", "it has no process group of its own any more")


def send(attempt: Attempt, number: int) -> None:
    """A signal, to its process group. Raise `NoInputError`."""
    _check_living(attempt)
    if not signal_group(attempt, number):
        raise NoInputError("ESRCH", "it has no process group of its own any more")


def _input(attempt: Attempt) -> int:
    _check_living(attempt)
    ends = attempt.ends.get("terminal")
    if ends is not None:
        return ends[0]
    if attempt.stdin is None:
        raise NoInputError("EBADF", 'it has no input, or no more; give it stdin = "pipe" or source = "pty"')
    return attempt.stdin


def _check_living(attempt: Attempt) -> None:
    if attempt.ladder.leader_gone:
        raise NoInputError("ESRCH", "it has ended")
