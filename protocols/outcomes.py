"""What the end of an attempt means for its task."""

import msgspec

from protocols.durations import format_duration
from protocols.events import TaskStatus, WorkerExited

__all__ = ["Verdict", "judge"]

_STOPPING = frozenset({"SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"})


class Verdict(msgspec.Struct, frozen=True):
    status: TaskStatus
    reason: str
    retry: bool
    """Another attempt may help, if the plan has one left."""


def judge(exited: WorkerExited, timeout: float | None, *, stopping: bool = False) -> Verdict:
    """Exit code 0 of a worker that nobody ended is success, and so is the line that was waited for. A stop is neither
    success nor failure.

    ``stopping``: the run is being stopped. Who stops it may have sent the signal to the workers too, as service
    managers do.
    """
    done = exited.reason == "sentinel" or exited.code == 0
    match exited.reason:
        case "exit" | "sentinel" if done:
            return Verdict("succeeded", "", retry=False)
        case "exit" | "sentinel" if stopping and exited.signal in _STOPPING:
            return Verdict("stopped", describe_exit(exited), retry=False)
        case "exit" | "sentinel" | "memory" | "cpu-time" | "spool-limit":
            over = "" if exited.reason == "exit" else f"{exited.error or f'over its limit ({exited.reason})'}; "
            return Verdict("failed", over + describe_exit(exited), retry=True)
        case "timeout":
            limit = "" if timeout is None else f" after {format_duration(timeout)}"
            return Verdict("timed-out", f"timed out{limit}, {describe_exit(exited)}", retry=True)
        case "stop":
            return Verdict("stopped", describe_exit(exited), retry=False)
        case "orphaned":
            return Verdict("failed", "ended because its supervisor was gone", retry=True)
        case "lost" | "no-log":
            return Verdict("failed", exited.error or "its end is not known", retry=True)
        case "not-started":
            return Verdict("failed", f"not started: {exited.error}", retry=True)


def describe_exit(exited: WorkerExited) -> str:
    """``exit code 3``, ``killed by SIGKILL``, or why nobody knows."""
    if exited.signal is not None:
        return f"killed by {exited.signal}"
    return f"exit code {exited.code}" if exited.code is not None else exited.error or "no exit status"
