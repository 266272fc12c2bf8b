"""What the end of a session's last prompt comes to as the end of its attempt."""

from protocols.ids import AttemptId
from protocols.keeper import Ended, Stop
from protocols.kinds import EndReason
from protocols.retry_after import read_retry_after
from protocols.session_changes import PromptEnded

__all__ = ["ended_attempt"]

_FINAL = frozenset({400, 401, 402, 403, 404, 422})  # of the model's server, where it says itself that no retry helps
_NO_QUOTA = 429


def ended_attempt(
    end: PromptEnded, attempt: AttemptId, *, reason: EndReason, stop: Stop | None, resumed: bool, at: float, size: int
) -> Ended:
    """``reason``: why its end was begun, ``exit`` where nobody did, and ``stop`` then. ``size``: bytes of its text."""
    code = None
    if end.outcome == "completed":
        code = 0
    elif end.outcome == "lost" and reason == "exit":
        reason = "orphaned" if resumed else "lost"  # its server ended with the callboard before
    elif reason == "exit":
        code = 1
    told = f"{end.error} ({end.code})" if end.error and end.code else end.error or end.code
    detail = "" if code == 0 else told or end.outcome
    if stop is not None and stop.reason == reason and stop.detail:
        detail = stop.detail
    without = reason == "exit" and end.status == _NO_QUOTA
    return Ended(
        attempt=attempt,
        code=code,
        signal=None,
        exited_at=at,
        at=at,
        reason=reason,
        stdout_bytes=0,
        stderr_bytes=0,
        session_bytes=size,
        swept=(),
        final=end.outcome == "failed" and not end.retryable and end.status in _FINAL,
        detail=detail,
        quota=without,
        quota_until=read_retry_after(end.retry_after, at) if without else None,
    )
