"""What there is to say of a task besides its figures, in a few words."""

from protocols.control import TaskLine
from protocols.durations import format_elapsed

__all__ = ["output_of", "tell_task"]

_USUAL = frozenset(("starting", "reading", "thinking", "working", "testing", "complete", "error"))
"""States of a worker that need not be told: its progress and its end tell more."""


def output_of(line: TaskLine) -> int:
    """Bytes in all its streams."""
    return line.stdout_bytes + line.stderr_bytes + line.terminal_bytes + line.log_bytes + line.session_bytes


def tell_task(line: TaskLine, now: float) -> str:
    """Empty where its status and its progress tell it all. ``now`` in Unix time."""
    if line.blocked:
        return f"output waits: {line.blocked}"
    if line.stopping:
        return "being stopped" if line.stopping == "stop" else f"being stopped: {line.stopping}"
    if line.retry_at is not None:
        pause = line.retry_at - now
        return f"attempt {line.attempt + 1} {f'in {format_elapsed(pause)}' if pause > 0 else 'now'}: {line.reason}"
    verdict = line.verdict
    if verdict is None or verdict.state in _USUAL:
        return line.reason or line.label
    reasons = "; ".join(verdict.reasons)
    if line.status != "running":  # nobody saw how it ended
        return f"{line.reason}; it was {verdict.state}: {reasons}"
    since = f"{verdict.state} for {format_elapsed(now - verdict.at)}" if now > verdict.at else verdict.state
    done = f", {', '.join(line.actions)}" if line.actions else ""
    return f"{since}{done}; that began with: {reasons}"
