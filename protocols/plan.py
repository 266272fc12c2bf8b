"""What a plan says once it is read and resolved: the tasks, what they need, and how many run at once."""

from typing import Literal, NamedTuple, TypeAlias

import msgspec

from protocols.agents import Prompting
from protocols.budget import Budget
from protocols.deadlines import Terms
from protocols.fan_out import ForEach
from protocols.ids import TaskId
from protocols.instances import Instance
from protocols.kinds import Source
from protocols.liveness_actions import Ladder
from protocols.liveness_states import Action
from protocols.needs import Condition
from protocols.restarts import RestartPolicy
from protocols.retry import RetryPolicy
from protocols.secrets import SecretSource
from protocols.silence import Policy
from protocols.task_output import Output
from protocols.wording import escaped
from protocols.worker_limits import WorkerLimits
from protocols.workspace import Workspace

__all__ = ["Logfile", "OnFailure", "Plan", "Stdin", "Task", "Tmux", "Window"]


OnFailure: TypeAlias = Literal["continue", "stop"]
"""What the first failure that is not allowed means for the tasks that do not need what failed."""


class Stdin(msgspec.Struct, frozen=True):
    """What a worker reads. ``pipe``: what others send it while it runs."""

    kind: Literal["none", "text", "file", "pipe"] = "none"
    text: str = ""
    """For ``text``: the text itself. For ``file``: the path."""


class Window(NamedTuple):
    """The size of a terminal, in characters."""

    columns: int
    rows: int


class Logfile(msgspec.Struct, frozen=True):
    """A file that somebody else writes, and that is followed."""

    path: str
    appear_within: float = 5.0
    """Seconds that are waited for it."""
    until: str = ""
    """The line that ends the task with success; empty where there is none."""


class Tmux(msgspec.Struct, frozen=True, kw_only=True):
    """The session of somebody else that a task is about. Without it: one of its own, in a server of callboard's."""

    socket: str = "default"
    """The name of a server, as ``tmux -L`` takes it, or the path of its socket."""
    adopt: str
    """The name of a session, or a pattern such as ``agent-*``."""
    own: bool = False
    """Its end is the end of what runs in the session. Else that goes on."""
    appear_within: float = 5.0
    """Seconds that may pass until there is such a session."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task with everything that its role and the defaults of the plan say filled in."""

    id: TaskId
    command: tuple[str, ...]
    """The arguments, the name of the command first. With ``shell``: ``("/bin/sh", "-c", TEXT)``. Empty only where a
    file is followed."""
    title: str = ""
    """For people."""
    role: str | None = None
    role_reason: str = ""
    """By what its role was found, where the plan names none for it; or by what none was."""
    shell: bool = False
    cwd: str = "."
    """Counts from its workspace, where it has one of its own."""
    workspace: Workspace = Workspace()
    env: dict[str, str] = {}
    """Variables that the plan sets."""
    secrets: dict[str, SecretSource] = {}
    """Variables whose values stand elsewhere."""
    pass_env: tuple[str, ...] = ()
    """Patterns such as ``JAVA_*`` of variables that are passed on besides the usual ones."""
    needs: tuple[TaskId, ...] = ()
    on: dict[TaskId, Condition] = {}
    """What is to have become of those needs that need not succeed."""
    for_each: ForEach | None = None
    """It stands for a task for each item, and ends when they have."""
    item: object = None
    """What its templates call so, where it was made for one."""
    priority: int = 0
    """Of the tasks that could start the one with the greatest does."""
    labels: tuple[str, ...] = ()
    where: str = ""
    """Where it was written, where that is not the file of the plan."""
    timeout: float | None = None
    """Seconds that one attempt may take."""
    unsaid_timeout: bool = False
    """It is that of a role which nobody wrote: it was detected."""
    terms: Terms = Terms()
    retries: int = 0
    """Further attempts after a first one that failed."""
    backoff: float = 1.0
    """Seconds before the first retry or restart; doubles from one to the next."""
    retry: RetryPolicy = RetryPolicy()
    restart: RestartPolicy = RestartPolicy()
    limits: WorkerLimits = WorkerLimits()
    budget: Budget | None = None
    """Of all its attempts; where it was made for an item, its own."""
    grace: float = 10.0
    """Seconds between TERM and KILL."""
    quiet_after: float = Policy().quiet_after
    """Seconds of unexplained silence after which it is suspected to stand still."""
    stalled_after: float = Policy().stalled_after
    """Seconds of the same after which it is known to."""
    on_stalled: tuple[Action, ...] = Ladder().steps
    """What is done about it then, one after the other."""
    stalled_pause: float = Ladder().pause
    """Seconds that each of these gets to help before the next one."""
    nudge: str = "continue"
    """What is typed to nudge it, without the Enter at its end."""
    source: Source = "pipe"
    window: Window = Window(120, 40)
    """Of the terminal, where the source is one."""
    logfile: Logfile | None = None
    """Where the source is one: what is followed. None: the command writes its spool files itself."""
    tmux: Tmux | None = None
    prompting: Prompting | None = None
    """Where it is a session on an agent server; ``command`` is empty then, ``source`` is ``"session"``."""
    instance: Instance | None = None
    """Where it is a callboard of its own; ``source`` is ``"instance"`` then."""
    stdin: Stdin = Stdin()
    """On a terminal ``none`` is the terminal itself, at which nobody types."""
    durable: bool = False
    """It goes on when its supervisor is gone, until that is taken up again or the worker is stopped."""
    allow_failure: bool = False
    output: Output | None = None
    """What it gives to those that need it."""
    template: bool | None = None
    """Whether its texts are templates; None: those that name what only callboard knows."""
    uses: tuple[TaskId, ...] = ()
    """The tasks whose outputs its templates name, once they are read."""
    progress_file: str | None = None
    """A Markdown file whose checkboxes tell how far the task is."""

    def place(self, index: int) -> str:
        """Where it was written, for messages. ``index``: in the plan."""
        return escaped(self.where) or f"tasks[{index}]"

    def counted_as(self) -> tuple[str, ...]:
        """By what caps count it: ``role:NAME``, ``label:NAME``."""
        return (*(() if self.role is None else (f"role:{self.role}",)), *(f"label:{label}" for label in self.labels))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks in the order of the file, with known needs and without cycles."""

    tasks: tuple[Task, ...]
    concurrency: int = 16
    """How many tasks run at once."""
    role_concurrency: dict[str, int] = {}
    """How many tasks of a role run at once, for the roles that say so."""
    budget: Budget | None = None
    """Of the run."""
    role_budgets: dict[str, Budget] = {}
    """Of all tasks of a role together."""
    label_concurrency: dict[str, int] = {}
    """How many tasks with a label run at once, for the labels that say so."""
    on_failure: OnFailure = "continue"
    grace: float = 10.0
    """Seconds between TERM and KILL where neither task nor role says otherwise."""
    standing: bool = False
    """It takes tasks while it runs, may begin without any, and ends only when somebody wants that."""

    def caps(self) -> dict[str, int]:
        """By the names of `Task.counted_as`."""
        roles = {f"role:{role}": cap for role, cap in self.role_concurrency.items()}
        return roles | {f"label:{label}": cap for label, cap in self.label_concurrency.items()}

    def needs(self) -> dict[TaskId, tuple[TaskId, ...]]:
        return {task.id: task.needs for task in self.tasks}
