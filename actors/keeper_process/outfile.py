"""Spool files that a worker writes itself: it has them as stdout and stderr, and nobody copies anything."""

import errno
import fcntl
import os
import signal

__all__ = ["is_written", "open_outfile", "reopen_outfile"]

_F_SETSIG = 10
# Filesystems without leases, and files of others: then nobody knows.
_UNKNOWN = frozenset({errno.EINVAL, errno.ENOLCK, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


def open_outfile(path: str) -> int:
    """For the worker. Whoever shares it appends, so that nobody overwrites what others wrote. Raise ``OSError``."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY, 0o600)


def reopen_outfile(path: str) -> int:
    """For us, who only look at it: `is_written` is about the others. Raise ``OSError``."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)


def is_written(fd: int) -> bool | None:
    """Whether a process, wherever it is, may still write through a descriptor. ``fd`` is open for reading.

    None where nobody knows. A pipe would tell by its end; of a file only a lease does, which the kernel refuses while
    somebody has it open for writing. It is given back at once: whoever opens the file in between waits for that.
    """
    try:
        fcntl.fcntl(fd, _F_SETSIG, signal.SIGURG)  # what somebody's open sends us: SIGIO would end us
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        return None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
