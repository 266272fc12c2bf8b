"""What somebody outside can want of a fleet: each command is at once the parameters of a method of the port.

Tasks are named as they are seen from the fleet that is asked: ``lint``, or ``build/lint`` for a task of the instance
that its task ``build`` is.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from protocols.ids import CommandId, TaskId
from protocols.queued import MOST_EXPIRES, Action, QueueState

__all__ = [
    "CancelTask",
    "Command",
    "Done",
    "ReplyPermission",
    "ResizeTerminal",
    "RestartTask",
    "RetryTask",
    "SendToWorker",
    "ShutDown",
    "SignalWorker",
    "SpawnWorker",
    "StopTask",
    "SubmitRun",
    "TaskCommand",
    "TypeInput",
]

Cells: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field that is not known is an error."""


class TaskCommand(_Command, frozen=True, kw_only=True):
    """About one task, here or in an instance."""

    task: str


class SpawnWorker(_Command, frozen=True, kw_only=True, tag="spawn"):
    """One more task for a standing fleet."""

    task: dict[str, Any]
    """As a plan writes it in ``[[tasks]]``; without ``id`` it gets one. Relative paths count from ``cwd``."""
    cwd: str
    """Absolute."""
    key: str | None = None
    """Of who asks: told with the task, so that it is found again."""


class SubmitRun(_Command, frozen=True, kw_only=True, tag="submit"):
    """A plan that a standing fleet is to run, as a task that is an instance."""

    plan: str
    """The text of the plan, TOML."""
    cwd: str
    """Absolute; relative paths of the plan count from there."""
    name: str = "plan.toml"
    """Of the file, for messages; the id of the task is made of it."""
    id: TaskId | None = None
    key: str | None = None
    """As in `SpawnWorker`."""


class StopTask(TaskCommand, frozen=True, kw_only=True, tag="stop"):
    """End its worker, and let nothing follow from that but its end: no retry."""

    grace: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Seconds between TERM and KILL; 0 kills; None is the task's own."""
    reason: str = "stopped by a client"


class RestartTask(TaskCommand, frozen=True, kw_only=True, tag="restart"):
    """End its worker, if one runs, and begin another attempt at once, whatever its retries are."""

    grace: Annotated[float, msgspec.Meta(ge=0)] | None = None


class CancelTask(TaskCommand, frozen=True, kw_only=True, tag="cancel"):
    """Of one that has not begun: nothing is started for it. Of one that runs: as `StopTask`."""

    reason: str = "cancelled by a client"


class RetryTask(TaskCommand, frozen=True, kw_only=True, tag="retry"):
    """One more attempt of a task that is over and did not succeed. What was skipped for it waits again."""


class SignalWorker(TaskCommand, frozen=True, kw_only=True, tag="signal"):
    """To the process group of the worker that runs."""

    signal: str
    """By its name: ``HUP``, ``INT``, ``TERM``, ``USR1``, ``USR2``, ``CONT``, ``STOP``, ``WINCH``."""


class ResizeTerminal(TaskCommand, frozen=True, kw_only=True, tag="resize"):
    columns: Cells
    rows: Cells


class TypeInput(TaskCommand, frozen=True, kw_only=True, tag="type"):
    """Bytes into the stdin of the worker that runs, or typed at its terminal."""

    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=4096)]


class SendToWorker(TaskCommand, frozen=True, kw_only=True, tag="send"):
    """Through the durable queue: written once at most, in order, as soon as the worker runs, while there is time. What
    becomes of it is told by the events ``command.…``, and by ``command.get``."""

    action: Action
    id: Annotated[CommandId, msgspec.Meta(min_length=1, max_length=64)] | None = None
    """The same one again is the same command. None: it gets one."""
    attempt: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Only to this attempt; 0: to the one that runs when its turn comes."""
    expires: Annotated[float, msgspec.Meta(gt=0, le=MOST_EXPIRES)] = 60.0
    """Seconds until it is not written any more."""
    until: Literal["queued", "written"] = "queued"
    """When it is answered: as soon as it is on the disk, or when it was written; what never is, is refused then."""


class ReplyPermission(TaskCommand, frozen=True, kw_only=True, tag="permission"):
    permission: str
    """The id that ``permission.asked`` has."""
    reply: Literal["once", "always", "reject"]
    message: str = ""


class ShutDown(_Command, frozen=True, kw_only=True, tag="shutdown"):
    """End the fleet: its workers too, or leave them to who comes next, where they are durable."""

    workers: Literal["stop", "leave"] = "stop"
    restart: bool = False
    """With ``leave``: who comes next is the same process, with the program as it is then; clients wait for it."""
    grace: Annotated[float, msgspec.Meta(ge=0)] | None = None
    reason: str = "stopped by a client"


Command: TypeAlias = (
    SpawnWorker
    | SubmitRun
    | StopTask
    | RestartTask
    | CancelTask
    | RetryTask
    | SignalWorker
    | ResizeTerminal
    | TypeInput
    | SendToWorker
    | ReplyPermission
    | ShutDown
)


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a command is in the journal."""

    task: str = ""
    """Which it was about, or which it made."""
    attempt: int = 0
    """Of that task; 0: none."""
    command: CommandId = CommandId("")
    """Of the queue, where it became one of these."""
    state: QueueState | None = None
    """How far that is."""
    seq: int = 0
    """All that it changed is told by records up to this number."""
