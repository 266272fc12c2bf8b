"""The signals that end an attempt's processes."""

import os
import signal

from actors.keeper_process.attempt import Attempt
from actors.keeper_process.marks import mark_of
from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import Process, describe, read_process

__all__ = ["kill", "signal_group", "signal_one", "terminate"]


def terminate(attempt: Attempt, members: list[Process]) -> None:
    """TERM to the leader's group and to those who left it; who is stopped is continued, so that it can obey."""
    attempt.close_stdin()
    grouped = _leads_group(attempt)
    outside = [process for process in members if not grouped or _is_ours_to_tell(attempt, process)]
    for signo in (signal.SIGTERM, signal.SIGCONT):
        if grouped:
            _signal_group(attempt.pid, signo)
        for process in outside:
            _signal_member(attempt, process, signo)


def kill(attempt: Attempt, members: list[Process]) -> None:
    """KILL to all, by whole groups too: what forks at this moment is then hit with its child."""
    attempt.close_stdin()
    if _leads_group(attempt):
        _signal_group(attempt.pid, signal.SIGKILL)
    for process in members:
        description = describe(process)
        ours = _signal_member(attempt, process, signal.SIGKILL)
        if ours and _signal_group(process.pgrp, signal.SIGKILL):
            attempt.hit(process, description)  # gone before its own KILL, maybe, but not what it forked


def signal_group(attempt: Attempt, signo: int) -> bool:
    """To all that are still in the group of the leader. False: it leads none any more."""
    return _leads_group(attempt) and _signal_group(attempt.pid, signo)


def signal_one(process: Process, signo: int) -> bool:
    """False: it runs as another user and cannot be signalled."""
    try:
        send_signal(process, signo)
    except PermissionError:
        return False
    return True


def _signal_member(attempt: Attempt, process: Process, signo: int) -> bool:
    """False: it is not ours to signal."""
    description = describe(process)  # now: a process that is ending has no command line any more
    try:
        sent = send_signal(process, signo)
    except PermissionError:
        attempt.out_of_reach(process, description)
        return False
    if sent and signo != signal.SIGCONT:
        attempt.hit(process, description)
    return True


def _is_ours_to_tell(attempt: Attempt, process: Process) -> bool:
    """The leader's group has been told. The workers of a callboard inside this attempt are stopped by that one."""
    if process.pgrp == attempt.pid:
        return False
    parts = (mark_of(process.pid) or "").split(":")
    return not any(part.endswith(f"/{attempt.id}") for part in parts[:-1])


def _leads_group(attempt: Attempt) -> bool:
    """The group's number is the leader's pid, and that is nobody else's until the leader has been reaped."""
    if attempt.ladder.leader_gone:
        return False
    if not attempt.adopted:
        return True
    leader = read_process(attempt.pid)  # another process reaps it, maybe before we know
    return leader is not None and leader.start_ticks == attempt.start_ticks


def _signal_group(group: int, signo: int) -> bool:
    """False: nobody got it."""
    if group in {0, 1, os.getpgrp()}:  # 0: a group of another pid namespace, and for killpg our own
        return False
    try:
        os.killpg(group, signo)
    except (ProcessLookupError, PermissionError):
        return False
    return True
