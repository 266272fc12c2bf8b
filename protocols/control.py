"""What can be asked of a running fleet: the methods of its socket, their parameters and results."""

from typing import Annotated, Any

import msgspec

from protocols.attempt_view import AttemptView
from protocols.budget_lines import BudgetLine, budget_lines
from protocols.deeds import list_deeds
from protocols.ids import RunId, TaskId
from protocols.kinds import EndReason, TaskStatus
from protocols.liveness_states import State
from protocols.outcomes import describe_exit
from protocols.plain import gap_text
from protocols.server_events import ServerEnded, ServerStarted
from protocols.states import RunView, TaskView
from protocols.task_tree import count_tree, walk

__all__ = [
    "FollowParams",
    "FollowResult",
    "HelloParams",
    "HelloResult",
    "RunStatus",
    "SendParams",
    "SendResult",
    "StatusParams",
    "StopParams",
    "StopResult",
    "TaskLine",
    "run_status",
    "task_line",
]

_UNSEEN: frozenset[EndReason] = frozenset(("orphaned", "lost"))


class StatusParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``status``: how the run stands. Answered with `RunStatus`."""


class StopParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``stop``: end the run. Answered with `StopResult` when the stop is in the journal; the connection is closed
    when the run has ended."""

    grace: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Seconds between TERM and KILL; 0 forces; None leaves it to each task."""
    reason: str = "stopped by a client"


class StopResult(msgspec.Struct, frozen=True):
    reason: str
    grace: float


class SendParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``send``: type a text for a worker, at its terminal or into its stdin. Answered with `SendResult` when it took
    all of it."""

    task: TaskId
    text: str
    enter: bool = True
    """Enter is pressed behind it."""


class SendResult(msgspec.Struct, frozen=True):
    task: TaskId
    attempt: int


class FollowParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``follow``: all records behind number ``after``, and those to come. Answered with `FollowResult`; then each
    record comes as a notification of the method ``record``, until the connection is closed."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0


class FollowResult(msgspec.Struct, frozen=True):
    after: int


class HelloParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``hello``: an instance that this run has started is there. Answered with `HelloResult`."""

    token: str
    """As it was handed over."""
    run: Annotated[RunId, msgspec.Meta(pattern=r"\A[a-z2-7]{8}\Z")]
    """Its own."""


class HelloResult(msgspec.Struct, frozen=True):
    path: str
    """Of the instance."""


class VerdictLine(msgspec.Struct, frozen=True):
    """What all that is known of a worker adds up to."""

    state: State
    confirmed: bool
    reasons: tuple[str, ...]
    """With figures of the moment ``at``."""
    at: float
    """Since when, in Unix time."""


class TaskLine(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it stands, with the evidence."""

    task: TaskId
    """Of a task of an instance with the path of that: ``build/itp-7``."""
    status: TaskStatus
    reason: str = ""
    attempt: int = 0
    pid: int | None = None
    seconds: float | None = None
    """Since the start of the last attempt, or how long it took."""
    timeout: float | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    terminal_bytes: int = 0
    log_bytes: int = 0
    session_bytes: int = 0
    quiet_for: float | None = None
    """Seconds since its last output, or since its start; None where nothing runs."""
    fraction: float | None = None
    label: str = ""
    retry_at: float | None = None
    """When its next attempt begins, in Unix time, while it waits for that."""
    stopping: str = ""
    blocked: str = ""
    """Why no more of its output is taken."""
    actions: tuple[str, ...] = ()
    """What was done about it while it stood still: ``nudged`` and the like."""
    gap: str = ""
    """What was lost of its output last."""
    verdict: VerdictLine | None = None
    """None where nobody judged it yet. Of one that ended without its supervisor: the last one before that."""


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId | None
    plan: str
    pid: int | None
    started_at: float | None
    seconds: float | None
    stopping: str
    """Why the run is being stopped; empty where it is not."""
    outcome: str
    """Empty while it has not ended."""
    counts: dict[str, int]
    tasks: tuple[TaskLine, ...]
    last_seq: int
    budgets: tuple[BudgetLine, ...] = ()
    servers: tuple[ServerStarted | ServerEnded, ...] = ()
    """The last that was told of each agent server, without those that nobody needs any more."""
    detached: str = ""
    """Where its supervisor is gone and the run may go on: what to do. The tasks stand then as that one saw them last,
    but for the pids: those are of workers that live now."""


def run_status(view: RunView, now: float) -> RunStatus:
    """``now`` in Unix time."""
    end = now if view.ended_at is None else view.ended_at
    return RunStatus(
        run=view.run,
        plan=view.plan,
        pid=view.pid,
        started_at=view.started_at,
        seconds=None if view.started_at is None else end - view.started_at,
        stopping="" if view.stopping is None else view.stopping.reason,
        outcome=view.outcome or "",
        counts=count_tree(view),
        tasks=tuple(task_line(leaf.name, leaf.task, now) for leaf in walk(view)),
        last_seq=view.last_seq,
        budgets=budget_lines(view.accounts.all, end),
        servers=tuple(each for each in view.servers.values() if _matters(each, ended=view.ended_at is not None)),
    )


def _matters(server: ServerStarted | ServerEnded, *, ended: bool) -> bool:
    """A run that has ``ended`` takes its servers with it, but for those that had been given up."""
    if isinstance(server, ServerStarted):
        return not ended
    return server.given_up or (server.again_in is not None and not ended)


def task_line(name: str, task: TaskView, now: float) -> TaskLine:
    """``name`` as it is seen from the run at which we look; ``now`` in Unix time."""
    line = TaskLine(task=TaskId(name), status=task.status, reason=task.reason or task.how_far, retry_at=task.retry_at)
    if not task.attempts:
        return line
    line = msgspec.structs.replace(line, **_attempt_fields(task.attempts[-1], now))
    return line if task.status != "stopped" else msgspec.structs.replace(line, pid=None)


def _attempt_fields(attempt: AttemptView, now: float) -> dict[str, Any]:
    started, exited = attempt.started, attempt.exited
    runs = started is not None and exited is None
    since = attempt.starting_at if started is None else started.at
    return {
        "attempt": attempt.number,
        "pid": started.pid or None if started is not None and runs else None,
        "seconds": (now if exited is None else exited.ended_at) - since,
        "timeout": attempt.timeout,
        "stdout_bytes": attempt.output["stdout"],
        "stderr_bytes": attempt.output["stderr"],
        "terminal_bytes": attempt.output["terminal"],
        "log_bytes": attempt.output["log"],
        "session_bytes": attempt.output["session"],
        "quiet_for": now - (attempt.last_output_at or since) if runs else None,
        "fraction": None if attempt.progress is None else attempt.progress.fraction,
        "label": "" if attempt.progress is None else attempt.progress.label,
        "stopping": attempt.stopping.reason if attempt.stopping is not None and runs else "",
        "blocked": next(iter(attempt.blocked.values()), ""),
        "actions": list_deeds(attempt.actions),
        "gap": "" if attempt.gap is None else gap_text(attempt.gap),
        "verdict": _verdict(attempt),
    }


def _verdict(attempt: AttemptView) -> VerdictLine | None:
    exited, last = attempt.exited, attempt.verdict
    if exited is not None and exited.reason not in _UNSEEN:
        fine = exited.reason in {"stop", "sentinel"} or (exited.reason == "exit" and exited.code == 0)
        return VerdictLine("complete" if fine else "error", True, (describe_exit(exited),), exited.at)
    return None if last is None else VerdictLine(last.state, last.confirmed, last.reasons, last.at)
