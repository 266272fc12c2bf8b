"""One attempt of a worker: what is known of it, what is open for it, and what is reported of it."""

import os
import signal
import sys
import time
from math import inf
from typing import NamedTuple

from actors.keeper_process.cgroups import Box
from actors.keeper_process.copier import Blocked, Eof, Resumed
from actors.keeper_process.ladder import Ladder, Phase
from actors.keeper_process.outfile import is_written
from actors.keeper_process.pipes import waiting_in
from actors.keeper_process.procfs import Process
from actors.keeper_process.requests import Terms
from actors.keeper_process.status import Status, StatusFile
from actors.keeper_process.watchdog import Watchdog
from actors.keeper_process.worker_limits import size_text

__all__ = ["Attempt", "Exit", "signal_name"]


_LOOK_EVERY = 0.05  # for what nobody tells us: what an adopted worker leaves behind is no child of ours
_REAP_WAIT = 5.0  # for the word of how an adopted leader ended


class Exit(NamedTuple):
    """How the leader ended. Neither code nor signal: nobody could tell."""

    code: int | None
    signal: str | None
    at: float

    @classmethod
    def of(cls, child: os.waitid_result) -> "Exit":
        """Now."""
        by_itself = child.si_code == os.CLD_EXITED
        name = None if by_itself else signal_name(child.si_status)
        return cls(child.si_status if by_itself else None, name, time.time())


_UNKNOWN = Exit(None, None, 0.0)


class Attempt:
    """From the start until it is forgotten. Status first, report second: who reads either is never ahead."""

    def __init__(
        self, terms: Terms, pid: int, start_ticks: int, *, at: float, now: float, boot_id: str, status: StatusFile
    ) -> None:
        self.id = terms.attempt
        self.streams = tuple(terms.spools)
        self.outlets = (os.fsdecode(terms.tty),) if terms.tty else ()
        """What it writes to besides its streams."""
        self.attached = terms.attached
        self.host = terms.host
        self.grace = terms.grace
        self.limits = terms.limits
        self.watchdog = Watchdog(terms.limits)
        self.box: Box | None = None
        """In which the kernel keeps its limit of memory, where it does."""
        self.detail = ""
        """Over which limit it went, with figures."""
        self.pid = pid
        self.start_ticks = start_ticks
        self.started_at = at
        self.ladder = Ladder(not_after=now + terms.timeout, grace=terms.grace, linger=terms.linger)
        self.exit: Exit | None = None
        self.ended_at: float | None = None
        self.sizes: dict[str, int] = {}
        """The final size of each stream that is complete."""
        self.blocked: dict[str, dict[str, object]] = {}
        """What was reported of each stream whose file takes no more."""
        self.ends: dict[str, tuple[int, ...]] = {}
        """Our own ends of each stream that is not complete, for whoever asks for the same spawn again."""
        self.outfiles: dict[str, int] = {}
        """Open for reading: those that the worker writes itself. Nobody tells when they are complete."""
        self.stdin: int | None = None
        self.unread: int | None = None
        """What was left of it when it was closed; None where it never was a pipe."""
        self.slave: int | None = None
        """Of a terminal, while the leader lives: who closes it may open it again, so it is not at its end yet."""
        self.pidfd: int | None = None
        """Of an adopted leader, until it is gone."""
        self.adopted = False
        """It is no child of ours: the supervisor reaps it and says how it ended."""
        self.gone_at: float | None = None
        """When we saw that the leader was gone; its exit may take longer to be told."""
        self._boot_id = boot_id
        self._status = status
        self._swept: dict[tuple[int, int], str] = {}
        self._hit: set[tuple[int, int]] = set()
        self._out_of_reach: set[tuple[int, int]] = set()

    @property
    def state(self) -> str:
        if self.ended_at is not None:
            return "ended"
        return "running" if self.exit is None else "exited"

    @property
    def streams_open(self) -> bool:
        return len(self.sizes) < len(self.streams)

    @property
    def incomplete(self) -> bool:
        """Something is still to come: output, or the word of how the leader ended."""
        return self.streams_open or self.exit is None

    @property
    def needs_looks(self) -> bool:
        """Nobody tells us when it is at its end."""
        orphaned = self.gone_at is not None and self.ladder.phase is not Phase.CLOSING
        return orphaned or (bool(self.outfiles) and self.ladder.leader_gone)

    def due(self, now: float, *, alone: bool) -> float:
        """When it is to be looked after although nothing happens. ``alone``: nobody supervises the keeper."""
        if self.ended_at is not None:
            return inf
        look_at = now + _LOOK_EVERY if self.needs_looks else inf
        return min(self.ladder.due, look_at, self.last_word_at(alone=alone))

    def last_word_at(self, *, alone: bool) -> float:
        """Until when somebody may still say how an adopted leader ended."""
        if self.gone_at is None or self.exit is not None:
            return inf
        return self.gone_at if alone else self.gone_at + _REAP_WAIT

    def leader_exited(self, found: Exit) -> None:
        self.exit = found
        self.close_slave()
        if self.box is not None and self.ladder.reason == "exit" and self.box.burst():
            self.ladder.reason = "memory"
            self.detail = f"its processes used more memory than {size_text(self.limits.memory)}"

    def left(self, members: list[Process]) -> list[Process]:
        """Without those that we were not permitted to end."""
        return [process for process in members if (process.pid, process.start_ticks) not in self._out_of_reach]

    def hit(self, process: Process, description: str) -> None:
        """A signal that ends was sent. Who outlived the leader is listed; who was to go with it is not."""
        key = (process.pid, process.start_ticks)
        if key == (self.pid, self.start_ticks):
            return
        if not self.ladder.leader_gone:
            self._hit.add(key)
        elif key not in self._hit:
            self._swept.setdefault(key, description)

    def out_of_reach(self, process: Process, description: str) -> None:
        """We are not permitted to end it, so nobody waits for its end."""
        key = (process.pid, process.start_ticks)
        self._out_of_reach.add(key)
        self._swept[key] = f"{description} (not ended: it runs as another user)"

    def measure(self, *, last: bool = False) -> None:
        """Once the leader is gone, the files that it wrote itself are complete when nobody else can write to them; and
        at the ``last`` measure, because nothing is left."""
        if not self.ladder.leader_gone:
            return
        for stream, fd in self.outfiles.items():
            if last or not is_written(fd):
                self.sizes[stream] = os.fstat(fd).st_size

    def record(self) -> None:
        """Write the status file."""
        found = self.exit or _UNKNOWN
        status = Status(
            state=self.state,
            attempt=self.id,
            pid=self.pid,
            start_ticks=self.start_ticks,
            boot_id=self._boot_id,
            code=found.code,
            signal=found.signal,
            exited_at=found.at if self.exit else None,
            stdout_bytes=self.sizes.get("stdout"),
            stderr_bytes=self.sizes.get("stderr"),
            terminal_bytes=self.sizes.get("terminal"),
            started_at=self.started_at,
            reason=self.ladder.reason if self.ended_at is not None or self.stopping else None,
        )
        try:
            self._status.write(status)
        except OSError as exc:
            sys.stderr.write(f"status of {self.id}: {exc}\n")

    @property
    def stopping(self) -> bool:
        return self.ladder.phase not in {Phase.LIVING, Phase.LINGERING}

    def known(self) -> dict[str, object]:
        return {"attempt": self.id, "pid": self.pid, "start_ticks": self.start_ticks, "state": self.state}

    def reports(self) -> list[dict[str, object]]:
        """What a new supervisor has to be told."""
        found: list[dict[str, object]] = []
        if self.exit is not None:
            found.append(self.exited_report())
        if self.ended_at is not None:
            found.append(self.ended_report())
        found.extend(self.blocked.values())
        return found

    def copied(self, event: Eof | Blocked | Resumed) -> dict[str, object] | None:
        """Take in what the copier says; return what of that is to be reported."""
        _, stream = event.key
        match event:
            case Eof():
                self.sizes[stream] = event.size
                self.blocked.pop(stream, None)
                self.close_ends(stream)
                return None
            case Blocked():
                report = {"type": "blocked", "attempt": self.id, "stream": stream, "error": event.error}
                self.blocked[stream] = {**report, "retried": event.retried}
                return self.blocked[stream]
            case Resumed():
                self.blocked.pop(stream, None)
                return {"type": "resumed", "attempt": self.id, "stream": stream}

    def exited_report(self) -> dict[str, object]:
        return {"type": "exited", "attempt": self.id, **(self.exit or _UNKNOWN)._asdict()}

    def ended_report(self) -> dict[str, object]:
        found = self.exit or _UNKNOWN
        return {
            "type": "ended",
            "attempt": self.id,
            "code": found.code,
            "signal": found.signal,
            "exited_at": found.at,
            "at": self.ended_at,
            "reason": self.ladder.reason,
            "stdout_bytes": self.sizes.get("stdout", 0),
            "stderr_bytes": self.sizes.get("stderr", 0),
            "terminal_bytes": self.sizes.get("terminal", 0),
            "unread": self.unread if self.stdin is None else waiting_in(self.stdin),
            "swept": list(self._swept.values()),
            "detail": self.detail,
        }

    def close_stdin(self) -> None:
        if self.stdin is not None:
            self.unread = waiting_in(self.stdin)
            os.close(self.stdin)
            self.stdin = None

    def close_pidfd(self) -> None:
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

    def close_slave(self) -> None:
        if self.slave is not None:
            os.close(self.slave)
            self.slave = None

    def close_ends(self, stream: str) -> None:
        for fd in self.ends.pop(stream, ()):
            os.close(fd)

    def close(self) -> None:
        """It has ended: nothing stays open for it."""
        self.close_stdin()
        self.close_pidfd()
        self.close_slave()
        for stream in self.streams:
            self.close_ends(stream)
        while self.outfiles:
            os.close(self.outfiles.popitem()[1])
        self._status.close()
        if self.box is not None:
            self.box.close()


def signal_name(number: int) -> str:
    """``SIGKILL`` and the like; real-time signals count from ``SIGRTMIN``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
