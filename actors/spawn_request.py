"""What a worker needs to start: what a whole fleet has in common, and the request that is made of that and an order."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from actors.messages import Append, FollowRequest
from actors.orders import StartWorker
from actors.schema_check import SchemaCheck
from actors.source import Sources
from actors.workspaces import Workspaces
from protocols import keeper as wire
from protocols.environment import MARK, chained_mark, worker_environment
from protocols.fan_out import planned
from protocols.ids import FleetId, TaskId, WorkerId
from protocols.keeper_codec import os_text, to_os
from protocols.kinds import Stream
from protocols.layout import FleetFolder, streams_of
from protocols.plan import Stdin, Task
from protocols.redaction import Redactor
from protocols.secrets import SecretSource

__all__ = ["Surroundings", "spawn_request", "spools_of", "streams_of_task"]

_SOCKET = "CALLBOARD_SOCKET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all workers of a fleet have in common."""

    fleet: FleetId
    folder: FleetFolder
    boot_id: str
    pid_namespace: int
    environ: Mapping[str, str]
    """Our own environment: what is passed of it is the plan's business."""
    executables: Mapping[TaskId, str]
    """The absolute path of each task's program."""
    sources: Sources
    follower: trio.MemorySendChannel[FollowRequest]
    outbox: trio.MemorySendChannel[Append]
    linger: float = 2.0
    heartbeat: float = 5.0
    limiter: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, 2))
    """For reading outputs and putting them into texts."""
    schemas: SchemaCheck = field(default_factory=SchemaCheck)
    check_plan: Callable[[TaskId, bytes], None] = lambda task, source: None
    """Whether what a task gives is a plan that those can run which are to. Blocks. Raises PlanError."""
    retry: float = 1.0
    """Pause between two tries to start something while the disk is full."""
    now: Callable[[], float] = time.time
    secrets: Mapping[SecretSource, str] = field(default_factory=dict, repr=False)
    """The values of all that tasks name."""
    redactor: Redactor = field(default_factory=Redactor)
    """Of what is told of them to others."""
    workspaces: Workspaces | None = None
    """None: no task has one of its own."""


def spawn_request(order: StartWorker, around: Surroundings) -> wire.Spawn:
    """What is asked for the start of an attempt, or for taking it up again."""
    task = order.task
    spools = {stream: os_text(path) for stream, path in spools_of(order, around).items()}
    return wire.Spawn(
        attempt=order.id,
        executable=os_text(_executable(task, around)),
        argv=tuple(os_text(argument) for argument in task.command),
        cwd=os_text(task.cwd),
        env=tuple(os_text(f"{name}={value}") for name, value in _environment(order, around).items()),
        stdin=_stdin(task.stdin),
        stdout=spools.get("stdout", ""),
        stderr=spools.get("stderr", ""),
        terminal=spools.get("terminal", ""),
        direct=task.source == "logfile" and task.logfile is None,
        window=task.window if "terminal" in spools else None,
        status=os_text(around.folder.status(order.id)),
        attached=not task.durable,
        timeout=_timeout(order),
        grace=task.grace,
        limits=task.limits,
        linger=around.linger,
        resume=order.open is not None,
    )


def _executable(task: Task, around: Surroundings) -> str:
    """Of a command in the workspace nobody knew before whether it would be there."""
    found = around.executables.get(planned(task.id), "")
    return found if found or not task.command else str(Path(task.cwd, task.command[0]))


def _timeout(order: StartWorker) -> float | None:
    """Seconds from its start on. What is excepted of the time of one that is taken up belongs to that."""
    timeout, left = order.task.timeout, order.open
    if timeout is None or left is None or order.task.terms.counts_waiting is not False:
        return timeout
    return timeout + left.waited


def _environment(order: StartWorker, around: Surroundings) -> dict[str, str]:
    """What the plan passes, and by what the worker's tree is known. An outer callboard's mark stays in front."""
    return worker_environment(order.task, around.environ, around.secrets) | {
        MARK: chained_mark(around.environ.get(MARK), f"{around.fleet}/{order.id}"),
        _SOCKET: str(around.folder.control_socket),
    }


def spools_of(order: StartWorker, around: Surroundings) -> dict[Stream, Path]:
    """The file of each stream of an attempt."""
    worker, streams = WorkerId(order.task.id), streams_of_task(order.task)
    return {stream: around.folder.spool(worker, order.attempt, stream) for stream in streams}


def streams_of_task(task: Task) -> tuple[Stream, ...]:
    """The streams that each of its attempts has."""
    return streams_of(
        task.source, log=task.logfile is not None, command=bool(task.command) or task.prompting is not None
    )


def _stdin(stdin: Stdin) -> wire.Stdin:
    match stdin.kind:
        case "text":
            return wire.Stdin("text", to_os(stdin.text.encode()))
        case "file":
            return wire.Stdin("file", os_text(stdin.text))
        case kind:
            return wire.Stdin(kind)
