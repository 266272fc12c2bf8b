"""A worker's terminal: made, sized, and moved to a file without its bytes ever being in our memory."""

import errno
import fcntl
import os
import signal
import struct
import termios

from actors.keeper_process.fields import Window

__all__ = ["TerminalEnd", "interrupt_foreground", "name_of", "open_slave", "open_terminal", "resize"]

_TIOCGPTN = 0x80045430  # the number of the slave; os.ptsname came with Python 3.13
_TIOCGPTPEER = 0x5441
_TIOCSIG = 0x40045436
_IUTF8 = 0o40000  # what terminals of today set: erasing takes a whole character
# What a terminal may still hold when nobody is to write any more: its line and the kernel's buffers behind it.
_HOLDS = 128 * 1024
_RELAY = 64 * 1024  # 16 reads of a page each, then one write: 1.4 CPU s/GB, and 1.8 with a write for each read
_PAGE = 4096


def open_terminal(window: Window, opened: list[int]) -> tuple[tuple[int, ...], int]:
    """What `TerminalEnd` takes of a new terminal, and its slave. Raise ``OSError``.

    Whatever was opened is added to ``opened``, also where an error follows.
    """
    master, slave = os.openpty()
    opened += (master, slave)
    os.set_blocking(master, False)
    resize(master, window)
    attributes = termios.tcgetattr(slave)
    attributes[0] |= _IUTF8
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    relay = os.pipe2(os.O_CLOEXEC)
    opened += relay
    return (master, *relay), slave


def resize(master: int, window: Window) -> None:
    """Who is in the foreground of the terminal gets SIGWINCH."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", window.rows, window.columns, 0, 0))


def interrupt_foreground(master: int) -> bool:
    """SIGINT to who is in the foreground of the terminal. False: nobody is."""
    try:
        if os.tcgetpgrp(master) <= 0:
            return False
        fcntl.ioctl(master, _TIOCSIG, signal.SIGINT)
    except OSError:
        return False
    return True


def name_of(master: int) -> str:
    """The path of the slave."""
    number: int = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))[0]
    return f"/dev/pts/{number}"


def open_slave(master: int) -> int:
    """Raise ``OSError``."""
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


class TerminalEnd:
    """What the copier takes from a terminal.

    No file takes a splice from a terminal, but a pipe does, and a file takes one from a pipe. So the bytes are in the
    terminal, in the relay or in the file, and nowhere else: who has the descriptors goes on when we are killed.
    """

    widens = False
    weight = 8
    """It is full with an eighth of what fills a pipe, so who pours into it waits for us so much earlier."""

    def __init__(self, master: int, relay_read: int, relay_write: int) -> None:
        """The relay is a pipe in which bytes are on their way from the master to the file."""
        self.fd, self._read, self._write = master, relay_read, relay_write
        self.pending: int = struct.unpack("i", fcntl.ioctl(self._read, termios.FIONREAD, bytes(4)))[0]
        """Bytes in the relay: of a keeper that was killed, or because the file takes no more."""

    def held(self) -> int:
        """At most so many bytes are there without anybody writing any more."""
        return self.pending + _HOLDS

    def move(self, spool: int, limit: int) -> int:
        """Move some bytes to the file and return how many; 0: nobody has the slave open. Raise ``BlockingIOError``
        where there are none now, another ``OSError`` where the file takes no more."""
        if not self.pending:
            self._fill(min(limit, _RELAY))
        if not self.pending:
            return 0
        count = os.splice(self._read, spool, self.pending, flags=os.SPLICE_F_NONBLOCK)
        self.pending -= count
        return count

    def close(self) -> None:
        for fd in (self.fd, self._read, self._write):
            os.close(fd)

    def _fill(self, limit: int) -> None:
        try:
            while self.pending < limit and (count := self._take(limit - self.pending)):
                self.pending += count
        except BlockingIOError:  # the terminal is empty, or the relay is full
            if not self.pending:
                raise

    def _take(self, limit: int) -> int:
        try:
            return os.splice(self.fd, self._write, limit, flags=os.SPLICE_F_NONBLOCK)
        except OSError as error:
            if error.errno == errno.EIO:
                return 0
            if error.errno != errno.EINVAL:
                raise
        return self._take_by_hand(limit)

    def _take_by_hand(self, limit: int) -> int:
        """For early 5.10 kernels, whose terminals know no splice: killed between these two calls, we lose what the
        first one read. The relay has room for it: it is empty."""
        if self.pending:
            return 0
        try:
            data = os.read(self.fd, min(limit, _PAGE))
        except OSError as error:
            if error.errno == errno.EIO:
                return 0
            raise
        return os.write(self._write, data)
