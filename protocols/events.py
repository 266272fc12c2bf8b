"""Everything that can happen in a fleet, as typed messages; an event with its number is a record."""

import re
from typing import Literal, TypeAlias

import msgspec

from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.liveness_states import State

__all__ = ["Event", "Record", "decode_event", "encode_event", "encode_record"]

Stream: TypeAlias = Literal["stdout", "stderr", "terminal"]
Source: TypeAlias = Literal["pipe", "pty"]
"""Where a worker's bytes come from: two pipes, its stdout and stderr, or one terminal."""
TaskStatus: TypeAlias = Literal[
    "pending", "running", "retrying", "succeeded", "failed", "timed-out", "skipped", "stopped"
]
Outcome: TypeAlias = Literal["succeeded", "failed", "interrupted"]
EndReason: TypeAlias = Literal["exit", "timeout", "stop", "orphaned", "lost", "not-started"]


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    at: float
    """Unix time of the fact."""


class _WorkerEvent(_Event, frozen=True, kw_only=True):
    worker: WorkerId
    attempt: int
    """Counts from 1."""


class RunStarted(_Event, frozen=True, kw_only=True, tag="run.started"):
    run: RunId
    plan: str
    tasks: tuple[TaskId, ...]
    pid: int
    version: str
    roles: dict[TaskId, str] = {}
    """Of the tasks that have one."""
    timeouts: dict[TaskId, float] = {}
    """Seconds that one attempt may take, of the tasks that have a limit."""


class RunStopping(_Event, frozen=True, kw_only=True, tag="run.stopping"):
    """Somebody asked for the end. Comes again with each further request; none makes the end less urgent."""

    reason: str
    grace: float
    """Seconds that workers get between TERM and KILL at most; 0 when forced."""


class RunEnded(_Event, frozen=True, kw_only=True, tag="run.ended"):
    outcome: Outcome
    counts: dict[str, int]
    """How many tasks ended with which status."""


class TaskStatusChanged(_Event, frozen=True, kw_only=True, tag="task.status_changed"):
    task: TaskId
    status: TaskStatus
    reason: str = ""
    attempt: int = 0
    """The attempt that led here; 0 where none did."""
    allowed: bool = False
    """The plan says ``allow_failure``: a failure here stops nobody else."""
    retry_at: float | None = None


class AttemptStarting(_WorkerEvent, frozen=True, kw_only=True, tag="attempt.starting"):
    """Recorded before the keeper is asked to spawn."""

    id: AttemptId
    argv: tuple[str, ...]
    cwd: str
    timeout: float | None = None
    source: Source = "pipe"


class WorkerStarted(_WorkerEvent, frozen=True, kw_only=True, tag="worker.started"):
    pid: int
    start_ticks: int
    """Field 22 of ``/proc/PID/stat``: together with the boot id this names a process for ever."""
    boot_id: str
    pid_namespace: int


class WorkerOutput(_WorkerEvent, frozen=True, kw_only=True, tag="worker.output"):
    """Bytes ``[offset, offset + length)`` of a stream are in the spool."""

    stream: Stream
    offset: int
    length: int


class WorkerProgress(_WorkerEvent, frozen=True, kw_only=True, tag="worker.progress"):
    fraction: float | None
    """0 to 1, or None where the worker told what it does but not how far it is."""
    label: str


class WorkerHeartbeat(_WorkerEvent, frozen=True, kw_only=True, tag="worker.heartbeat"):
    """The streamer of this worker lives, and this is what it sees. One for each change of
    ``activity`` and one sample a minute, not one for each beat."""

    activity: Literal["active", "quiet"]
    quiet_for: float
    stdout_bytes: int
    stderr_bytes: int
    terminal_bytes: int = 0


class WorkerVerdict(_WorkerEvent, frozen=True, kw_only=True, tag="worker.verdict"):
    """What all that is known of a worker adds up to from now on. One for each change of ``state`` or ``confirmed``;
    none for its end, which `WorkerExited` tells."""

    state: State
    confirmed: bool
    """Never true of a suspicion."""
    reasons: tuple[str, ...]
    """For people, with figures of the moment of the change."""


class WorkerStopping(_WorkerEvent, frozen=True, kw_only=True, tag="worker.stopping"):
    reason: EndReason
    grace: float


class WorkerExited(_WorkerEvent, frozen=True, kw_only=True, tag="worker.exited"):
    """The last event of an attempt: its process tree is gone and its output is complete."""

    code: int | None
    signal: str | None
    """``SIGKILL`` and the like, where a signal ended the leader."""
    reason: EndReason
    started_at: float | None
    ended_at: float
    """When the leader exited; ``at`` is when the last of its tree and of its output was gone."""
    stdout_bytes: int
    stderr_bytes: int
    terminal_bytes: int = 0
    swept: tuple[str, ...] = ()
    """Processes that outlived the leader and were ended, as ``pid command``."""
    error: str = ""
    """Why there was no start, or no knowledge of the end."""


class WorkerMismatch(_WorkerEvent, frozen=True, kw_only=True, tag="worker.mismatch"):
    """What the keeper copied, what is in the spool and what records cover are not the same."""

    stream: Stream
    written: int
    spooled: int
    recorded: int


class SpoolBlocked(_WorkerEvent, frozen=True, kw_only=True, tag="spool.blocked"):
    """The disk takes no more: the worker waits in its write, nothing is lost, tried each second."""

    stream: Stream
    error: str


class SpoolResumed(_WorkerEvent, frozen=True, kw_only=True, tag="spool.resumed"):
    stream: Stream


class JournalResumed(_Event, frozen=True, kw_only=True, tag="journal.resumed"):
    """The journal could not be written for ``seconds``; the records were kept in memory."""

    seconds: float
    error: str


class KeeperStarted(_Event, frozen=True, kw_only=True, tag="keeper.started"):
    pid: int
    generation: int


class KeeperLost(_Event, frozen=True, kw_only=True, tag="keeper.lost"):
    pid: int
    reason: str


class ProcessUnattributed(_Event, frozen=True, kw_only=True, tag="process.unattributed"):
    """A process of this fleet of which nobody can tell the worker. It ends with the fleet."""

    pid: int
    command: str


class ActorFailed(_Event, frozen=True, kw_only=True, tag="actor.failed"):
    actor: str
    error: str
    restart_in: float | None
    """None: not restarted."""


class FleetSwept(_Event, frozen=True, kw_only=True, tag="fleet.swept"):
    """Processes of no known worker were ended: with the run, or, where that was killed, by a later callboard."""

    processes: tuple[str, ...]


Event: TypeAlias = (
    RunStarted
    | RunStopping
    | RunEnded
    | TaskStatusChanged
    | AttemptStarting
    | WorkerStarted
    | WorkerOutput
    | WorkerProgress
    | WorkerHeartbeat
    | WorkerVerdict
    | WorkerStopping
    | WorkerExited
    | WorkerMismatch
    | SpoolBlocked
    | SpoolResumed
    | JournalResumed
    | KeeperStarted
    | KeeperLost
    | ProcessUnattributed
    | ActorFailed
    | FleetSwept
)


class Record(msgspec.Struct, frozen=True):
    """An event that is in the journal."""

    seq: int
    """Counts from 1 in each journal, without holes."""
    event: Event


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


# JSON need not escape them, but terminals obey the first and `str.splitlines` ends a line at the others.
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")


def encode_event(event: Event) -> bytes:
    """One JSON object without line breaks and control characters.

    Text that is no Unicode (a path with odd bytes) comes as ``\\udcXX``.
    """
    try:
        data = _encoder.encode(event)
    except UnicodeEncodeError:
        data = _encoder.encode(_escape(msgspec.to_builtins(event)))
    return data if data.isascii() and b"\x7f" not in data else _CONTROLS.sub(_as_escape, data)


def _as_escape(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


def _escape(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_escape(key): _escape(item) for key, item in value.items()}
        case list() | tuple():
            return [_escape(item) for item in value]
        case _:
            return value


def decode_event(data: bytes) -> Event:
    """Raise ``msgspec.ValidationError`` for what no version of ours has written."""
    return _decoder.decode(data)


def encode_record(record: Record) -> bytes:
    """The record as one JSON object: ``seq`` first, then the fields of its event."""
    return b'{"seq":%d,' % record.seq + encode_event(record.event)[1:]
