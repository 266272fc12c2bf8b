"""What the methods of the port answer that only read. New fields may come: clients read them leniently."""

from typing import Literal

import msgspec

from protocols.control import TaskLine
from protocols.ids import RunId
from protocols.kinds import Outcome, Source, Stream, TaskStatus
from protocols.session_events import SessionEnded, SessionTodos, SessionUsage

__all__ = [
    "Ended",
    "Health",
    "InstanceLine",
    "InstanceList",
    "Lagged",
    "Output",
    "ReadResult",
    "RunDetail",
    "RunLine",
    "RunList",
    "RunReport",
    "SessionLine",
    "SessionList",
    "StreamLine",
    "Subscribed",
    "SystemInfo",
    "TaskList",
    "Unsubscribed",
    "WorkerLine",
    "WorkerList",
]


class SystemInfo(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId | None
    """Of the fleet: with it and the number of a record, a place in its course is named for ever."""
    version: str
    pid: int | None
    epoch: int
    """Counts the supervisors of the run, from 1."""
    plan: str
    folder: str
    """Where everything of the fleet lies on disk."""
    started_at: float | None
    now: float
    """Unix time of the supervisor."""
    last_seq: int
    """Number of the last record."""
    stopping: str
    """Why the fleet is being stopped; empty where it is not."""
    who: str
    """Who asks, as the audit records tell it."""
    scope: str
    """What who asks may do."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["ok", "degraded", "stopping"]
    problems: tuple[str, ...]
    """What is not as it should be, for people."""
    seconds: float | None
    """Since the fleet began."""
    last_seq: int
    counts: dict[str, int]
    """How many tasks of the whole tree have which status."""


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    tasks: tuple[TaskLine, ...]
    last_seq: int
    """The records up to this number are in it."""


class StreamLine(msgspec.Struct, frozen=True):
    stream: Stream
    size: int
    """Bytes that records cover."""


class WorkerLine(TaskLine, frozen=True, kw_only=True):
    """The worker of a task, by its last attempt; ``attempt`` 0: there was none yet."""

    run: RunId | None
    """To which it belongs."""
    role: str = ""
    source: Source | None = None
    argv: tuple[str, ...] = ()
    cwd: str = ""
    window: tuple[int, int] | None = None
    """Columns and rows of its terminal at its start."""
    streams: tuple[StreamLine, ...] = ()
    started_at: float | None = None
    ended_at: float | None = None
    code: int | None = None
    """With which it exited."""
    signal: str | None = None
    end: str = ""
    """How it ended, for people; empty while it runs."""


class WorkerList(msgspec.Struct, frozen=True, kw_only=True):
    workers: tuple[WorkerLine, ...]
    last_seq: int


class Output(msgspec.Struct, frozen=True, kw_only=True):
    task: str
    attempt: int
    stream: Stream
    start: int
    """Of the first byte of ``data``."""
    data: bytes
    """Base64. Fewer than were asked for, or none: there are no more now."""
    size: int
    """Bytes of the stream that are there now."""
    ended: bool
    """No more come."""


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that is being run: the fleet itself, or one of the instances below it."""

    run: RunId | None
    """None where it has not begun."""
    task: str
    """The task that it is; ``.`` is the fleet itself."""
    plan: str
    status: TaskStatus
    """Of that task; of the fleet itself ``running``, until its end."""
    outcome: Outcome | None
    """None where it has not come to an end."""
    started_at: float | None
    ended_at: float | None
    counts: dict[str, int]
    """How many of its own tasks have which status."""


class RunList(msgspec.Struct, frozen=True, kw_only=True):
    runs: tuple[RunLine, ...]
    last_seq: int


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    run: RunLine
    tasks: tuple[TaskLine, ...]
    """Of it and of all below, with their names as they are seen from the fleet that is asked."""
    last_seq: int


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    task: str
    """The task that the run is; ``.`` is the fleet itself."""
    path: str
    """Of the file."""
    report: msgspec.Raw
    """As in ``report.json``."""


class InstanceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A callboard that a task is."""

    instance: str
    """The name of the task."""
    run: RunId | None
    plan: str
    status: TaskStatus
    attempt: int
    pid: int | None
    """Of its supervisor, while that runs."""
    version: str
    epoch: int
    level: int
    """1: a task of the fleet that is asked."""
    folder: str
    """Of its run; empty where it has not begun."""
    outcome: Outcome | None
    started_at: float | None
    ended_at: float | None
    counts: dict[str, int]


class InstanceList(msgspec.Struct, frozen=True, kw_only=True):
    instances: tuple[InstanceLine, ...]
    last_seq: int


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """The session on an agent server that the last attempt of a task is."""

    task: str
    attempt: int
    session: str
    """Its id there."""
    server: str
    directory: str
    title: str
    status: Literal["busy", "idle", "retry"] | None
    doing: str
    prompts: int
    usage: SessionUsage | None
    todos: SessionTodos | None
    ended: tuple[SessionEnded, ...]
    """The end of each prompt, in order."""


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    sessions: tuple[SessionLine, ...]
    last_seq: int


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    subscription: str
    run: RunId | None
    after: int
    """What is behind this number comes."""


class Unsubscribed(msgspec.Struct, frozen=True, kw_only=True):
    subscription: str
    upto: int
    """The last number that it has looked at."""


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    records: tuple[msgspec.Raw, ...]
    upto: int
    """The last number that was looked at: go on behind it."""
    more: bool
    """There is more up to what was asked for."""


class Lagged(msgspec.Struct, frozen=True, kw_only=True):
    """``events.lagged``: the client was too slow for a subscription. It goes on behind what is left out, which
    ``events.read`` has."""

    subscription: str
    first: int
    last: int
    """Numbers of records, both are left out."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """``events.ended``: nothing comes any more, the fleet has ended."""

    subscription: str
    upto: int
    """The last number that it has looked at."""
