"""What is recorded of a session on an agent server."""

from typing import Literal, TypeAlias

from protocols.bases import WorkerEvent

__all__ = ["Doing", "Outcome", "SessionEvent", "ToolState"]

Outcome: TypeAlias = Literal["completed", "failed", "aborted", "timed-out", "lost"]
"""How a prompt ended. ``lost``: its server restarted or forgot it, so nobody knows."""
ToolState: TypeAlias = Literal["pending", "running", "completed", "error"]
Doing: TypeAlias = Literal["", "reading", "thinking", "working", "testing"]


class _SessionEvent(WorkerEvent, frozen=True, kw_only=True):
    session: str
    """Of the agent server; one of the task's own session or of a child of it."""
    reconciled: bool = False
    """No event told it: it was found when the server was asked."""


class SessionStarted(_SessionEvent, frozen=True, kw_only=True, tag="session.started"):
    server: str
    """Its address."""
    directory: str
    title: str = ""
    resumed: bool = False
    """It was there before."""


class SessionPrompted(_SessionEvent, frozen=True, kw_only=True, tag="session.prompted"):
    """The server has our prompt: from now on it can be over."""

    message: str
    """Its id, ours."""
    number: int
    """Counts the prompts of the task from 1."""
    text: str
    """The first 2000 characters."""


class SessionStatus(_SessionEvent, frozen=True, kw_only=True, tag="session.status"):
    """One for each change."""

    status: Literal["busy", "idle", "retry"]
    doing: Doing = ""
    """What its newest part means, while it is busy."""


class SessionTool(_SessionEvent, frozen=True, kw_only=True, tag="session.tool"):
    """One for each change of ``state`` but ``pending``."""

    call: str
    name: str
    state: ToolState
    command: str = ""
    """Of a shell command, its first 2000 characters."""
    path: str = ""
    """Of a file operation."""
    error: str = ""
    code: int | None = None
    """The exit code of a shell command; None where none is known."""


class SessionPermission(_SessionEvent, frozen=True, kw_only=True, tag="session.permission"):
    id: str
    state: Literal["asked", "replied", "gone"]
    """``gone``: nobody waits for it any more."""
    tool: str = ""
    patterns: tuple[str, ...] = ()
    reply: str = ""
    """``once``, ``always`` or ``reject``."""


class SessionQuestion(_SessionEvent, frozen=True, kw_only=True, tag="session.question"):
    id: str
    state: Literal["asked", "replied", "rejected", "gone"]
    text: str = ""
    options: tuple[str, ...] = ()


class SessionRetry(_SessionEvent, frozen=True, kw_only=True, tag="session.retry"):
    """The server's own: it tries the model again at ``next_at``."""

    number: int
    message: str
    next_at: float
    """Unix time; 0 where it does not say."""


class SessionUsage(_SessionEvent, frozen=True, kw_only=True, tag="session.usage"):
    """Totals so far, of the task's session with all of its children. One for each answer of a model."""

    input: int = 0
    """Tokens, without those that were cached."""
    output: int = 0
    reasoning: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float = 0.0
    """In the currency of the server's price list, as a rule US dollars."""
    messages: int = 0
    """Of models."""
    tools: int = 0
    """Tool calls in all."""
    commands: int = 0
    """Of these, shell commands."""
    files: int = 0
    """Of these, files written or edited."""


class SessionTodos(_SessionEvent, frozen=True, kw_only=True, tag="session.todos"):
    """One for each change."""

    done: int
    total: int
    current: str = ""
    """The one in progress."""


class SessionChild(_SessionEvent, frozen=True, kw_only=True, tag="session.child"):
    """A session that a session of ours started; ``session`` is the child."""

    parent: str
    state: Literal["started", "ended"]
    title: str = ""


class SessionEnded(_SessionEvent, frozen=True, kw_only=True, tag="session.ended"):
    """The one end of a prompt."""

    message: str
    outcome: Outcome
    error: str = ""
    """For people; empty where it completed."""
    code: str = ""
    """What the server calls its error, such as ``APIError``; or ``length``, ``rejected``, ``no-answer``, ``deleted``,
    ``restarted``."""
    status: int | None = None
    """Of HTTP, as the model's provider answered."""
    retryable: bool = False
    """Another attempt may do better."""


SessionEvent: TypeAlias = (
    SessionStarted
    | SessionPrompted
    | SessionStatus
    | SessionTool
    | SessionPermission
    | SessionQuestion
    | SessionRetry
    | SessionUsage
    | SessionTodos
    | SessionChild
    | SessionEnded
)
"""Of one worker. Totals of the last `SessionUsage` count."""
