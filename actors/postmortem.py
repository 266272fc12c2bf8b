"""How an attempt ended that nobody can be asked about: its keeper's status file and its spool are the witnesses."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, get_args

from actors.adoption import end_marked
from actors.keeper_process.status import Status, read_status
from protocols.ids import AttemptId, FleetId
from protocols.keeper import Ended, Spawned
from protocols.kinds import EndReason, Stream

__all__ = ["Finding", "examine"]

_REASONS: dict[str | None, EndReason] = {reason: reason for reason in get_args(EndReason)}


class Finding(NamedTuple):
    """``report`` is what the keeper would have said; without code and signal, ``error`` says why nobody knows them."""

    report: Ended
    error: str
    started: Spawned | None
    """What the keeper would have said of its start; None where nobody knows."""


def examine(
    fleet: FleetId,
    attempt: AttemptId,
    status_file: Path,
    spools: Mapping[Stream, Path],
    *,
    boot_id: str,
    seen_at: float,
    ran: bool,
) -> Finding | None:
    """End what is left of an attempt that no keeper has, and find out how it ended. None: it was never started.

    ``seen_at``: when it is said to have ended if nobody saw that. ``ran``: its records say that it was started. Reads
    all of /proc where it may still run.
    """
    status = read_status(status_file)
    if status is None or status.attempt != attempt:
        if not ran:
            return None
        status = Status("running", attempt, 0, 0, boot_id)
    if status.reason == "not-started":
        return None
    if status.state != "ended" and status.boot_id == boot_id:
        end_marked(fleet, {attempt})
    known = status.exited_at is not None and (status.code is not None or status.signal is not None)
    error = "" if known else _why(status, boot_id)
    return Finding(_report(status, spools, seen_at, known=known), error, _start(status))


def _report(status: Status, spools: Mapping[Stream, Path], seen_at: float, *, known: bool) -> Ended:
    sizes = {stream: _size(path) for stream, path in spools.items()}
    ended_at = seen_at if status.exited_at is None else status.exited_at
    return Ended(
        attempt=AttemptId(status.attempt),
        code=status.code,
        signal=status.signal,
        exited_at=ended_at,
        at=ended_at,
        reason=_REASONS.get(status.reason, "exit") if known else "lost",
        stdout_bytes=_first(status.stdout_bytes, sizes.get("stdout")),
        stderr_bytes=_first(status.stderr_bytes, sizes.get("stderr")),
        terminal_bytes=_first(status.terminal_bytes, sizes.get("terminal")),
        log_bytes=_first(sizes.get("log")),
        session_bytes=_first(sizes.get("session")),
        swept=(),
    )


def _start(status: Status) -> Spawned | None:
    if not status.pid or status.started_at is None:
        return None
    return Spawned(pid=status.pid, start_ticks=status.start_ticks, at=status.started_at)


def _why(status: Status, boot_id: str) -> str:
    if status.boot_id != boot_id:
        return "the machine was restarted meanwhile; nobody saw how it ended"
    return "callboard and its keeper were killed; nobody saw how it ended"


def _first(*sizes: int | None) -> int:
    return next((size for size in sizes if size is not None), 0)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
