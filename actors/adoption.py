"""Workers that outlive their keeper: what is held of them, and how a new keeper gets them."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import trio

from actors.keeper_process.loop import boottime
from actors.keeper_process.marks import attempt_of, find_marked, mark_of
from actors.keeper_process.pidfd import send_signal
from actors.keeper_process.procfs import read_process
from actors.keeper_process.status import Status, read_status
from actors.strays import reap
from protocols.ids import AttemptId, FleetId
from protocols.keeper import Adopt, Ended, Extend, Reaped, Report, Spawn, Stop
from protocols.keeper_codec import from_os
from protocols.kinds import EndReason

__all__ = ["Held", "end_marked", "may_have_started"]


@dataclass(slots=True)
class Held:
    """A running attempt, with dups of the ends of its output and of the write end of a stdin that is a pipe: what it
    takes to go on without its keeper."""

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
    exit: Reaped | None = None
    """How its leader ended, once we know: what the kernel knew of it is gone then."""
    leader_gone: bool = False
    """A keeper said so."""
    begun: EndReason | None = None
    """Why somebody began to end it while its leader lived, for a keeper that did not see that itself."""

    def change(self, request: Stop | Extend) -> None:
        """What its keeper is about to be told, and the next one has to know."""
        if isinstance(request, Extend):
            self.not_after = boottime() + request.left
            return
        self.stop, self.kill_at = request, boottime() + request.grace
        self.close_stdin()

    def remaining_stop(self) -> Stop | None:
        """The stop that was under way, with the grace that is left of it."""
        if self.stop is None:
            return None
        grace = max(0.0, self.kill_at - boottime())
        return msgspec.structs.replace(self.stop, grace=grace)

    def recall(self, now: Callable[[], float] = time.time) -> Ended | None:
        """Read what the lost keeper wrote down and may not have told: the end of the attempt, which is returned, or
        that of its leader. To be called before the next keeper gets it: that one writes to the same status file."""
        status = _status(self.spawn)
        if status is None or status.state not in {"exited", "ended"}:
            if self.stop is not None and self.exit is None:
                self.begun = self.begun or self.stop.reason
            return None
        at = status.exited_at or now()
        if status.state == "ended":
            return _ended(self.spawn.attempt, status, at)
        if status.reason is not None:
            self.begun = self.begun or _reason(status)
        if self.exit is None:
            signo = _number(status.signal)
            self.exit = Reaped(attempt=self.spawn.attempt, code=status.code, signal=signo, at=at)
        return None

    def adopt(self) -> Adopt:
        spawn = self.spawn
        return Adopt(
            attempt=spawn.attempt,
            pid=self.pid,
            start_ticks=self.start_ticks,
            stdout=spawn.stdout,
            stderr=spawn.stderr,
            terminal=spawn.terminal,
            direct=spawn.direct,
            tty=spawn.tty,
            status=spawn.status,
            attached=spawn.attached,
            host=spawn.host,
            timeout=None if self.not_after is None else max(0.0, self.not_after - boottime()),
            grace=spawn.grace,
            limits=spawn.limits,
            linger=spawn.linger,
            fds=len(self.fds),
        )

    async def wait(self, now: Callable[[], float] = time.time) -> Reaped:
        """Wait for the leader as its new parent, and reap it. Code and signal are None where nobody can tell."""
        if self.exit is None:
            code, signo = await self._wait()
            self.exit = Reaped(attempt=self.spawn.attempt, code=code, signal=signo, at=now())
        return self.exit

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
            return reap(self.pid)
        finally:
            os.close(pidfd)

    def close_stdin(self) -> None:
        """The keeper closes its own: only both together are an end of input for the worker."""
        outputs = 0 if self.spawn.tty or self.spawn.direct else 3 if self.spawn.terminal else 2
        for fd in self.fds[outputs:]:
            os.close(fd)
        self.fds = self.fds[:outputs]

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = ()


def may_have_started(spawn: Spawn) -> bool:
    """Whether a keeper that was lost may have run this command. In doubt yes: nothing may run twice."""
    status = _status(spawn)
    return status is not None and status.reason != "not-started"


def end_marked(fleet: FleetId, attempts: set[AttemptId]) -> None:
    """Kill what runs of these attempts. Reads all of /proc."""
    for process in find_marked(fleet):
        if attempt_of(mark_of(process.pid) or "", fleet) in attempts:
            send_signal(process, signal.SIGKILL)


def _status(spawn: Spawn) -> Status | None:
    return read_status(os.fsdecode(from_os(spawn.status)))


def _ended(attempt: AttemptId, status: Status, at: float) -> Ended:
    return Ended(
        attempt=attempt,
        code=status.code,
        signal=status.signal,
        exited_at=at,
        at=at,
        reason=_reason(status),
        stdout_bytes=status.stdout_bytes or 0,
        stderr_bytes=status.stderr_bytes or 0,
        terminal_bytes=status.terminal_bytes or 0,
        swept=(),
    )


def _reason(status: Status) -> EndReason:
    reason: EndReason = msgspec.convert(status.reason or "lost", EndReason)
    return reason


def _number(name: str | None) -> int | None:
    """The number of a signal that a status file names: ``SIGKILL``, ``SIGRTMIN+3``."""
    if name is None:
        return None
    base, _, offset = name.partition("+")
    return signal.Signals[base] + int(offset or 0)
