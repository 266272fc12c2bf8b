"""What the end of an attempt means for its task."""

import msgspec

from protocols.durations import format_duration
from protocols.events import WorkerExited
from protocols.kinds import TaskStatus
from protocols.liveness_actions import Remedy
from protocols.retry import Cause

__all__ = ["Verdict", "cause_of", "is_success", "judge"]

_STOPPING = frozenset({"SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"})


class Verdict(msgspec.Struct, frozen=True):
    status: TaskStatus
    reason: str
    retry: bool
    """Another attempt may help, if the plan has one left."""


def is_success(exited: WorkerExited) -> bool:
    """Nobody ended it, and it ended well."""
    return exited.reason == "sentinel" or (exited.reason == "exit" and exited.code == 0)


def judge(
    exited: WorkerExited, timeout: float | None, *, stopping: bool = False, remedy: Remedy | None = None
) -> Verdict:
    """Exit code 0 of a worker that nobody ended is success, and so is the line that was waited for. A stop is neither
    success nor failure.

    ``stopping``: the run is being stopped. Who stops it may have sent the signal to the workers too, as service
    managers do. ``remedy``: it was to be ended because it stood still, and so it is to go on.
    """
    match exited.reason:
        case "exit" | "sentinel" if is_success(exited):
            return Verdict("succeeded", "", retry=False)
        case "exit" | "sentinel" if stopping and exited.signal in _STOPPING:
            return Verdict("stopped", describe_exit(exited), retry=False)
        case "exit" | "sentinel" | "memory" | "cpu-time" | "spool-limit" | "budget":
            over = f"{exited.error}; " if exited.error else ""
            if not over and exited.reason != "exit":
                over = f"over its limit ({exited.reason}); "
            how = describe_exit(exited)
            reason = how if how == exited.error else over + how
            return Verdict("failed", reason, retry=not exited.final and exited.reason != "budget")
        case "timeout" | "quiet":
            limit = "" if timeout is None else f" after {format_duration(timeout)}"
            if exited.reason == "quiet":
                limit = f": {exited.error or 'nothing was heard of it for too long'}"
            return Verdict("timed-out", f"timed out{limit}, {describe_exit(exited)}", retry=True)
        case "stalled":
            why = "" if remedy is None else f": {remedy.reason}"
            retry = remedy is None or remedy.action == "restart"
            return Verdict("failed", f"stalled{why}; {describe_exit(exited)}", retry=retry)
        case "stop":
            return Verdict("stopped", describe_exit(exited), retry=False)
        case "orphaned" | "lost" | "no-log" as reason:
            gone = "ended because its supervisor was gone" if reason == "orphaned" else "its end is not known"
            return Verdict("failed", exited.error or gone, retry=True)
        case "output" | "not-started" as reason:
            return Verdict("failed", f"{reason.replace('-', ' ')}: {exited.error}", retry=not exited.final)


def cause_of(exited: WorkerExited) -> Cause | None:
    """Why this attempt failed, as far as retries go. None: it did not fail, or only since others wanted its end."""
    match exited.reason:
        case "stop" | "orphaned":
            return None
        case "timeout" | "quiet":
            return "timeout"
        case "stalled" | "output" | "lost" as cause:
            return cause
        case _:
            return None if is_success(exited) else "quota" if exited.quota else "exit"


def describe_exit(exited: WorkerExited) -> str:
    """``exit code 3``, ``killed by SIGKILL``, or why nobody knows."""
    if exited.reason == "output":
        return f"output: {exited.error}"
    if exited.signal is not None:
        return f"killed by {exited.signal}"
    return f"exit code {exited.code}" if exited.code is not None else exited.error or "no exit status"
