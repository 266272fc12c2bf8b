"""What waits in a pipe to be read."""

import fcntl
import sys
import termios

__all__ = ["waiting_in"]


def waiting_in(fd: int) -> int:
    """How many bytes, at either end; also where nobody is left who could read them."""
    found: bytes = fcntl.ioctl(fd, termios.FIONREAD, bytes(4))
    return int.from_bytes(found, sys.byteorder)
