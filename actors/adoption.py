"""Workers that outlive their keeper: what is held of them, and how a new keeper gets them."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import trio

from actors.keeper_process.ancestry import children_of
from actors.keeper_process.marks import find_marked, mark_of
from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import read_process
from actors.keeper_process.status import read_status
from protocols.events import EndReason
from protocols.ids import AttemptId, FleetId
from protocols.keeper import Adopt, Ended, Reaped, Report, Spawn, Stop, from_os

__all__ = ["Held", "end_marked", "final_report", "reap_strays"]

logger = logging.getLogger(__name__)

_STRAYS_EVERY = 1.0


@dataclass(slots=True)
class Held:
    """A running attempt, with dups of the read ends of its output: what it takes to go on without its keeper."""

    spawn: Spawn
    reports: trio.MemorySendChannel[Report]
    pid: int
    start_ticks: int
    fds: tuple[int, ...]
    not_after: float | None
    """On CLOCK_BOOTTIME."""
    stop: Stop | None = None
    kill_at: float = 0.0
    """When the last stop's grace ends, on CLOCK_BOOTTIME."""

    def stopping(self, stop: Stop) -> None:
        self.stop, self.kill_at = stop, boottime() + stop.grace

    def remaining_stop(self) -> Stop | None:
        """The stop that was under way, with the grace that is left of it."""
        if self.stop is None:
            return None
        grace = max(0.0, self.kill_at - boottime())
        return Stop(attempt=self.spawn.attempt, grace=grace, reason=self.stop.reason)

    def adopt(self) -> Adopt:
        spawn = self.spawn
        return Adopt(
            attempt=spawn.attempt,
            pid=self.pid,
            start_ticks=self.start_ticks,
            stdout=spawn.stdout,
            stderr=spawn.stderr,
            status=spawn.status,
            attached=spawn.attached,
            timeout=None if self.not_after is None else max(0.0, self.not_after - boottime()),
            grace=spawn.grace,
            linger=spawn.linger,
        )

    async def wait(self, now: Callable[[], float] = time.time) -> Reaped:
        """Wait for the leader as its new parent, and reap it.

        The old keeper may have reaped it: then its status file tells, or nobody can (code and signal None).
        """
        status = read_status(os.fsdecode(from_os(self.spawn.status)))
        if status is not None and status.state == "exited":
            at = status.exited_at or now()
            return Reaped(attempt=self.spawn.attempt, code=status.code, signal=_number(status.signal), at=at)
        code, signo = await self._wait()
        return Reaped(attempt=self.spawn.attempt, code=code, signal=signo, at=now())

    async def _wait(self) -> tuple[int | None, int | None]:
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None, None
        try:
            process = read_process(self.pid)
            if process is None or process.start_ticks != self.start_ticks:
                return None, None
            await trio.lowlevel.wait_readable(pidfd)
            return _reap(self.pid)
        finally:
            os.close(pidfd)

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = ()


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def final_report(held: Held) -> Ended | None:
    """What the old keeper wrote down as the end of this attempt and may not have told."""
    status = read_status(os.fsdecode(from_os(held.spawn.status)))
    if status is None or status.state != "ended":
        return None
    ended_at = status.exited_at or time.time()
    return Ended(
        attempt=held.spawn.attempt,
        code=status.code,
        signal=status.signal,
        exited_at=ended_at,
        at=ended_at,
        reason=msgspec.convert(status.reason or "lost", EndReason),
        stdout_bytes=status.stdout_bytes or 0,
        stderr_bytes=status.stderr_bytes or 0,
        swept=(),
    )


def _number(name: str | None) -> int | None:
    """The number of a signal that a status file names: ``SIGKILL``, ``SIGRTMIN+3``."""
    if name is None:
        return None
    base, _, offset = name.partition("+")
    return signal.Signals[base] + int(offset or 0)


async def reap_strays(keeper: int, held: Callable[[], Iterable[int]]) -> None:
    """Reap processes that came to us because their parents ended. Runs until cancelled."""
    while True:
        await trio.sleep(_STRAYS_EVERY)
        for pid in set(children_of(os.getpid())) - {keeper, *held()}:
            process = read_process(pid)
            if process is not None and process.state == "Z":
                _reap(pid)


def end_marked(fleet: FleetId, attempts: set[AttemptId]) -> set[AttemptId]:
    """Kill what runs of these attempts; return those of which something ran. Reads all of /proc."""
    seen: set[AttemptId] = set()
    for process in find_marked(fleet):
        attempt = _attempt_of(mark_of(process.pid) or "", fleet)
        if attempt in attempts:
            seen.add(attempt)
            send_signal(process, signal.SIGKILL)
    return seen


def _attempt_of(mark: str, fleet: FleetId) -> AttemptId:
    for part in mark.split(":"):
        owner, _, attempt = part.partition("/")
        if owner == fleet:
            return AttemptId(attempt)
    return AttemptId("")


def _reap(pid: int) -> tuple[int | None, int | None]:
    try:
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None, None
    if result is None:
        return None, None
    return (result.si_status, None) if result.si_code == os.CLD_EXITED else (None, result.si_status)
