"""Signals that cannot hit a stranger."""

import os
import signal

from actors.keeper_process.procfs import Process, read_process

__all__ = ["send_signal"]


def send_signal(process: Process, signo: int) -> bool:
    """Signal this very process. False: it is gone or a zombie, and whoever has its pid now was left alone.

    Raise ``PermissionError`` for a program that runs as another user.
    """
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The descriptor holds on to one process: if that is the right one now, it stays so.
        now = read_process(process.pid)
        if now is None or now.start_ticks != process.start_ticks or not now.alive:
            return False
        signal.pidfd_send_signal(pidfd, signo)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True
