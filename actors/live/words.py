"""What is said of a worker in words: its state, what is wrong with it, what comes next, how it ended."""

from typing import NamedTuple

from actors.cells import Style
from actors.live.columns import STATE
from actors.live.figures import whole_seconds
from protocols.attempt_view import AttemptView
from protocols.board import Activity, is_stalled, silence
from protocols.deeds import list_deeds
from protocols.events import WorkerStopping
from protocols.liveness_states import State
from protocols.states import TaskView

__all__ = ["Condition", "condition", "is_failure", "remark"]

_STYLES: dict[str, Style] = {
    "running": "cyan",
    "retrying": "yellow",
    "restarting": "yellow",
    "pending": "dim",
    "succeeded": "green",
    "failed": "red",
    "timed-out": "red",
    "parked": "red",
    "skipped": "dim",
    "stopped": "magenta",
}
_WORDS: dict[State, tuple[str, str]] = {
    "reading": ("reading", "read"),
    "thinking": ("thinking", "think"),
    "working": ("working", "work"),
    "testing": ("testing", "test"),
    "waiting-permission": ("asks", "asks"),
    "waiting-quota": ("no quota", "no quota"),
    "idle": ("idle", "idle"),
    "quiet": ("quiet (?)", "quiet?"),
    "stalled": ("stalled", "stalled"),
    "unknown": ("unknown", "unknown"),
}
"""What a verdict is called, and what where there is little room. The others say no more than that it runs."""


class Condition(NamedTuple):
    """The state of a worker."""

    status: str
    word: str
    style: Style
    trouble: str = ""
    """What a person should know at once. May hold control characters."""


def condition(task: TaskView, activity: Activity | None, now: float) -> Condition:
    """The state that a person sees: that of the task, with what its attempt tells besides."""
    attempt = task.attempts[-1] if task.attempts else None
    word, style = task.status, _STYLES[task.status]
    mismatch, gap = (activity.mismatch, activity.gap) if activity is not None else ("", "")
    if attempt is not None and attempt.exited is None and task.status == "running":
        troubles = [mismatch, gap, *_troubles(attempt, now)]
        trouble = "; ".join(text for text in troubles if text)
        return Condition(task.status, _running(attempt), "bold yellow" if trouble else style, trouble)
    if is_failure(task) and task.allowed:
        style = "yellow"
    return Condition(task.status, word, "bold red" if mismatch else style, mismatch or gap)


def is_failure(task: TaskView) -> bool:
    return task.status in {"failed", "timed-out", "parked"}


def remark(task: TaskView, now: float) -> str:
    """Why a task is as it is, and what comes next. May hold control characters."""
    if task.status in {"retrying", "restarting"} and task.retry_at is not None:
        left = task.retry_at - now
        when = f"in {whole_seconds(left)}" if left > 0 else "now"
        return f"attempt {len(task.attempts) + 1} {when}: {task.reason}"
    if task.status == "running":
        return task.how_far
    parts = [f"{task.reason} (allowed)" if task.allowed and is_failure(task) else task.reason]
    if len(task.attempts) > 1:
        parts.append(f"attempt {len(task.attempts)}")
    return ", ".join(part for part in parts if part)


def _running(attempt: AttemptView) -> str:
    if attempt.stopping is not None:
        return "stopping"
    if attempt.blocked:
        return "blocked"
    if attempt.started is None:
        return "starting"
    state = "starting" if attempt.verdict is None else attempt.verdict.state
    word, short = _WORDS.get(state, ("running", "run"))
    if attempt.number == 1:
        return word
    numbered = f"{word} #{attempt.number}"
    return numbered if len(numbered) <= STATE else f"{short} #{attempt.number}"[:STATE]


def _troubles(attempt: AttemptView, now: float) -> list[str]:
    troubles = [] if attempt.stopping is None else [_stopping(attempt.stopping, now)]
    if attempt.verdict is not None and is_stalled(attempt):
        done = "".join(f", {each}" for each in list_deeds(attempt.actions))
        troubles.append(_standstill(attempt, now - attempt.verdict.at, now) + done)
    return troubles + [f"output waits: {error}" for error in dict.fromkeys(attempt.blocked.values())]


def _standstill(attempt: AttemptView, seconds: float, now: float) -> str:
    silent = silence(attempt, now)
    if silent < seconds:  # output would have ended it, if that had shown anything new
        return f"has only repeated itself for {whole_seconds(seconds)}"
    return f"nothing explains a silence of {whole_seconds(silent)}"


def _stopping(stopping: WorkerStopping, now: float) -> str:
    left = stopping.at + stopping.grace - now
    kill = f"KILL in {whole_seconds(left)}" if stopping.grace and left > 0 else "KILL sent"
    match stopping.reason:
        case "stop":
            return kill  # of the run, which says why
        case "timeout":
            return f"timed out, {kill}"
        case _:
            return f"{stopping.reason}, {kill}"
