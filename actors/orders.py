"""What orchestrator, roster, workers and the keeper's client say to each other inside one process."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import trio

from protocols.budget import Scope
from protocols.errors import KeeperError
from protocols.events import WorkerExited
from protocols.ids import AttemptId, CommandId, TaskId, WorkerId
from protocols.keeper import Report, Request, Spawn
from protocols.kinds import EndReason
from protocols.liveness_actions import Remedy
from protocols.plan import Task
from protocols.resumption import OpenAttempt
from protocols.task_output import Failure, TaskOutput

__all__ = ["Ask", "Decision", "Order", "ReachWorker", "StopRun", "Wish", "WorkerEnded"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The keeper's answer: the raw result, or why there is none."""

    ok: bytes = b""
    error: KeeperError | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for the keeper. ``answer`` (of one slot, None where nobody cares) gets exactly one
    `Answer`, also when a keeper dies on it."""

    request: Request
    answer: trio.MemorySendChannel[Answer] | None = None


@dataclass(frozen=True, slots=True)
class StartWorker:
    """One attempt of a task. The roster answers with `WorkerEnded`, whatever happens."""

    task: Task
    attempt: int
    id: AttemptId
    open: OpenAttempt | None = None
    """What an earlier supervisor left of it. Nothing is started then: it is taken up, or its end is found out."""
    outputs: tuple[TaskOutput, ...] = ()
    """Of those tasks that its templates name, as far as there are some."""
    groups: tuple[TaskId, ...] = ()
    """Those of them that stand for others, whose outputs are among these."""
    failure: Failure | None = None
    """How the attempt before failed."""
    over_budget: str = ""
    """Why it is not to be started any more: it ends at once."""


@dataclass(frozen=True, slots=True)
class AskSpawn:
    """Start a worker. ``reports`` gets what the source says of it, `protocols.keeper.Ended` last."""

    request: Spawn
    answer: trio.MemorySendChannel[Answer]
    reports: trio.MemorySendChannel[Report]
    order: StartWorker
    """What it is for: what the task says of its source is found there."""


KeeperAsk: TypeAlias = Ask | AskSpawn


@dataclass(frozen=True, slots=True)
class StopWorker:
    worker: WorkerId
    grace: float
    reason: EndReason
    detail: str = ""
    """For people."""
    attempt: int | None = None
    """None: the one that runs."""


@dataclass(frozen=True, slots=True)
class ExtendWorker:
    """The timeout of this attempt is so many seconds from now."""

    worker: WorkerId
    attempt: int
    left: float


@dataclass(frozen=True, slots=True)
class SendInput:
    """Write to the stdin of a worker, or type at its terminal. ``answer`` (of one slot) gets exactly one `Answer`:
    `protocols.keeper.Written`, or why not."""

    worker: WorkerId
    attempt: int | None
    """None: the one that runs."""
    data: bytes
    """1 to 4096."""
    answer: trio.MemorySendChannel[Answer]
    note: bool = False
    """A word of ours: an agent is told it, at whose session nobody can type."""


@dataclass(frozen=True, slots=True)
class InterruptWorker:
    """Interrupt a worker as a person would do it. Answered as `SendInput` is."""

    worker: WorkerId
    attempt: int | None
    answer: trio.MemorySendChannel[Answer]


@dataclass(frozen=True, slots=True)
class AskUnread:
    """How much of what was written to its stdin a worker has not read. Answered as `protocols.keeper_inputs.Unread`."""

    worker: WorkerId
    attempt: int | None
    answer: trio.MemorySendChannel[Answer]


@dataclass(frozen=True, slots=True)
class ReplyPermission:
    """To what the session of a worker asks for. Answered as `protocols.keeper.Permit` is."""

    worker: WorkerId
    attempt: int | None
    permission: str
    reply: Literal["once", "always", "reject"]
    message: str
    answer: trio.MemorySendChannel[Answer]


@dataclass(frozen=True, slots=True)
class AddPrompt:
    """One more for the session of a worker. Answered as `protocols.keeper.Prompt` is."""

    worker: WorkerId
    attempt: int | None
    command: CommandId
    text: str
    answer: trio.MemorySendChannel[Answer]


@dataclass(frozen=True, slots=True)
class EndFleet:
    """No worker is left and none will come: end what belongs to no worker. Answered by `FleetEmpty`."""


@dataclass(frozen=True, slots=True)
class SendSignal:
    """To the process group of a worker. Answered when it has it, or why not."""

    worker: WorkerId
    attempt: int | None
    number: int
    answer: trio.MemorySendChannel[Answer]


@dataclass(frozen=True, slots=True)
class ResizeWorker:
    """Another size for the terminal of a worker. Answered when it has it, or why not."""

    worker: WorkerId
    attempt: int | None
    window: tuple[int, int]
    """Columns and rows."""
    answer: trio.MemorySendChannel[Answer]


ReachWorker: TypeAlias = (
    SendInput | AskUnread | InterruptWorker | SendSignal | ResizeWorker | ReplyPermission | AddPrompt
)
"""What a worker that runs is asked, and answers."""
Order: TypeAlias = StartWorker | StopWorker | ExtendWorker | ReachWorker | EndFleet


@dataclass(frozen=True, slots=True)
class WorkerEnded:
    exited: WorkerExited
    output: TaskOutput | None = None
    """What it gave, where the plan wants something."""


@dataclass(frozen=True, slots=True)
class FleetEmpty:
    """Nothing of this fleet is left. ``ended`` names the processes that nobody could attribute."""

    ended: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OverBudget:
    """A task, the tasks of a role, or the run (``name`` is empty) have used up what they may. What runs of it is to be
    stopped, and nothing of it to be started again."""

    scope: Scope
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class StopRun:
    """Somebody wants the end of the run. ``grace`` in seconds; 0 forces, None is each task's own."""

    reason: str
    grace: float | None


@dataclass(frozen=True, slots=True)
class AddTasks:
    """More tasks, for a plan that is standing. As for every `Wish`, ``answer`` (of one slot) gets why that cannot be;
    empty where it is on its way, and the records of the run tell when it is so."""

    tasks: tuple[Task, ...]
    answer: trio.MemorySendChannel[str]
    key: str = ""
    """Told with them."""


@dataclass(frozen=True, slots=True)
class EndTask:
    """The end of a task that is not over, whether it runs or waits. ``grace`` in seconds; None is the task's own."""

    task: TaskId
    grace: float | None
    reason: str
    answer: trio.MemorySendChannel[str]


@dataclass(frozen=True, slots=True)
class BeginAgain:
    """The end of the attempt that runs, if one does, and another one at once."""

    task: TaskId
    grace: float | None
    plan: Task | None
    """What it is, where only the disk knows that any more."""
    answer: trio.MemorySendChannel[str]


@dataclass(frozen=True, slots=True)
class RetryOnce:
    """One more attempt of a task that is over and did not succeed."""

    task: TaskId
    plan: Task | None
    """What it is, where only the disk knows that any more."""
    answer: trio.MemorySendChannel[str]


Wish: TypeAlias = AddTasks | EndTask | BeginAgain | RetryOnce
"""What somebody outside wants of the tasks of a run."""

Decision: TypeAlias = WorkerEnded | FleetEmpty | StopRun | OverBudget | Remedy | Wish
