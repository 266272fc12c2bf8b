"""Everything that can happen in a fleet, as typed messages; an event with its number is a record."""

from typing import Literal, TypeAlias

import msgspec

from protocols.adoption_events import WorkerAdopted, WorkerLate
from protocols.bases import BaseEvent as _Event
from protocols.bases import WorkerEvent as _WorkerEvent
from protocols.budget import BudgetExceeded, BudgetOf, BudgetWarned
from protocols.call_events import CallRecord
from protocols.command_events import QueueEvent
from protocols.fleet_events import FleetEvent
from protocols.ids import AttemptId, RunId, TaskId, WorkerId
from protocols.kinds import EndReason, Outcome, Source, Stream, TaskStatus
from protocols.liveness_states import Action, State
from protocols.pane import WorkerPane, WorkerUnclaimed
from protocols.reached_events import ReachedEvent
from protocols.server_events import ServerEvent
from protocols.session_events import SessionEvent
from protocols.task_events import TaskEvent
from protocols.task_output import TaskOutput
from protocols.workspace import WorkspaceEvent

__all__ = ["Event", "OwnEvent", "Record"]


class RunStarted(_Event, frozen=True, kw_only=True, tag="run.started"):
    run: RunId
    plan: str
    tasks: tuple[TaskId, ...]
    pid: int
    version: str
    roles: dict[TaskId, str] = {}  # noqa: RUF012 - msgspec copies it
    """Of the tasks that have one."""
    timeouts: dict[TaskId, float] = {}  # noqa: RUF012
    """Seconds that one attempt may take, of the tasks that have a limit."""
    detected: tuple[TaskId, ...] = ()
    """The tasks whose timeouts nobody wrote: they come with roles that were detected."""
    budgets: tuple[BudgetOf, ...] = ()
    givers: tuple[TaskId, ...] = ()
    """The tasks that are to give an output."""


class RunResumed(_Event, frozen=True, kw_only=True, tag="run.resumed"):
    """The supervisor before was gone, and another one goes on with the run from here."""

    epoch: int
    """Counts the supervisors of a run: the one that started it has 1."""
    pid: int
    version: str


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
    window: tuple[int, int] | None = None
    """Columns and rows of its terminal, where it has one."""
    log: str = ""
    """The file that is followed, written by whomever; then ``argv`` may be empty."""
    prompts: tuple[str, ...] = ()
    """As they are sent, where that is not what the plan says."""


class WorkerStarted(_WorkerEvent, frozen=True, kw_only=True, tag="worker.started"):
    pid: int
    """0 where a file is followed and nothing was started."""
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
    log_bytes: int = 0
    session_bytes: int = 0


class WorkerVerdict(_WorkerEvent, frozen=True, kw_only=True, tag="worker.verdict"):
    """What all that is known of a worker adds up to from now on. One for each change of ``state``, and where a state is
    confirmed that was not; none for its end, which `WorkerExited` tells."""

    state: State
    confirmed: bool
    """Never true of a suspicion."""
    reasons: tuple[str, ...]
    """For people, with figures of the moment of the change."""


class WorkerAction(_WorkerEvent, frozen=True, kw_only=True, tag="worker.action"):
    """What was done about a worker that stands still, as its policy says. To restart and to fail begin with its end."""

    action: Action
    reason: str
    """Why, for people."""
    failed: str = ""
    """Why it could not be done; empty where it was."""


class WorkerWarned(_WorkerEvent, frozen=True, kw_only=True, tag="worker.warned"):
    """The worker is told that its time is over soon: recorded before it is, and again with ``failed`` where that did
    not arrive."""

    left: float
    """Seconds."""
    text: str
    failed: str = ""


class WorkerStopping(_WorkerEvent, frozen=True, kw_only=True, tag="worker.stopping"):
    reason: EndReason
    grace: float
    detail: str = ""
    """Over which limit it went, with figures."""


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
    log_bytes: int = 0
    session_bytes: int = 0
    stdin_unread: int | None = None
    """Bytes that were written to its stdin and that nobody read; None where that was no pipe, or nobody knows."""
    swept: tuple[str, ...] = ()
    """Processes that outlived the leader and were ended, as ``pid command``."""
    error: str = ""
    """Why there was no start, or no knowledge of the end; or over which limit it went."""
    final: bool = False
    """Another attempt would end like this one: a key or a model is wrong, say."""
    quota: bool = False
    """It ended for want of quota, as its transport says."""
    quota_until: float | None = None
    """Unix time at which there is some again, where the transport says so."""


class WorkerMismatch(_WorkerEvent, frozen=True, kw_only=True, tag="worker.mismatch"):
    """What the keeper copied, what is in the spool and what records cover are not the same."""

    stream: Stream
    written: int
    spooled: int
    recorded: int


class WorkerGap(_WorkerEvent, frozen=True, kw_only=True, tag="worker.gap"):
    """Bytes of a stream are lost: they are missing in front of the one at ``offset`` in its spool file, which goes on
    there. With ``cut`` they were in it, and who writes that file itself has cut it: what earlier records cover from
    ``offset`` on is gone, and later ones begin there again. Offsets are always positions in the spool file."""

    stream: Stream
    offset: int
    lost: int | None
    """How many bytes, at least; None where nobody can know."""
    why: str
    cut: bool = False


class SpoolBlocked(_WorkerEvent, frozen=True, kw_only=True, tag="spool.blocked"):
    """The disk takes no more, or the worker has printed what it may: it waits in its write, nothing is lost."""

    stream: Stream
    error: str
    retried: bool = True
    """Each second. Not so at its ``spool_limit``, where it waits until it is stopped."""


class SpoolResumed(_WorkerEvent, frozen=True, kw_only=True, tag="spool.resumed"):
    stream: Stream


class InstanceLinked(_WorkerEvent, frozen=True, kw_only=True, tag="instance.linked"):
    """The instance that a task is has begun or gone on with this run: what comes of it is numbered by that."""

    run: RunId


OwnEvent: TypeAlias = (
    RunStarted
    | RunResumed
    | RunStopping
    | RunEnded
    | TaskStatusChanged
    | TaskEvent
    | TaskOutput
    | BudgetWarned
    | BudgetExceeded
    | AttemptStarting
    | WorkerStarted
    | WorkerAdopted
    | WorkerLate
    | WorkerOutput
    | WorkerProgress
    | WorkerHeartbeat
    | WorkerVerdict
    | WorkerAction
    | WorkerWarned
    | ReachedEvent
    | WorkerStopping
    | WorkerExited
    | WorkerMismatch
    | WorkerGap
    | WorkerPane
    | WorkerUnclaimed
    | SpoolBlocked
    | SpoolResumed
    | FleetEvent
    | SessionEvent
    | ServerEvent
    | InstanceLinked
    | WorkspaceEvent
    | QueueEvent
    | CallRecord
)


class InstanceRecord(_Event, frozen=True, kw_only=True, tag="instance.record"):
    """A record of an instance, or of one below it. ``at`` is that of its event. Each comes once, in order."""

    worker: WorkerId
    """The task that is the instance through which it came."""
    path: str
    """Whose record it is: ``build``, or ``build/itp-7`` for an instance of that instance."""
    numbers: tuple[int, ...]
    """That of the record in the journal of each instance on the way, one for each name of the path."""
    event: OwnEvent


Event: TypeAlias = OwnEvent | InstanceRecord


class Record(msgspec.Struct, frozen=True):
    """An event that is in the journal."""

    seq: int
    """Counts from 1 in each journal, without holes."""
    event: Event
