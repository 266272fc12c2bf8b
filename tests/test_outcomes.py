"""What the end of an attempt means for its task."""

from typing import get_args

import msgspec
import pytest

from protocols.events import WorkerExited
from protocols.ids import WorkerId
from protocols.kinds import EndReason, TaskStatus
from protocols.outcomes import judge

_EXITED = WorkerExited(
    at=2.0,
    worker=WorkerId("a"),
    attempt=1,
    code=None,
    signal=None,
    reason="exit",
    started_at=1.0,
    ended_at=2.0,
    stdout_bytes=0,
    stderr_bytes=0,
)


def _exited(reason: EndReason, end: int | str | None, error: str = "") -> WorkerExited:
    code, signal = (end, None) if isinstance(end, int) else (None, end)
    return msgspec.structs.replace(_EXITED, reason=reason, code=code, signal=signal, error=error)


@pytest.mark.parametrize(
    ("exited", "status", "reason", "retry"),
    [
        (_exited("exit", 0), "succeeded", "", False),
        (_exited("exit", 3), "failed", "exit code 3", True),
        (
            msgspec.structs.replace(_exited("exit", 1, "wrong key"), final=True),
            "failed",
            "wrong key; exit code 1",
            False,
        ),
        (_exited("exit", "SIGTERM"), "failed", "killed by SIGTERM", True),
        (_exited("timeout", 0), "timed-out", "timed out after 1m30s, exit code 0", True),
        (_exited("timeout", "SIGKILL"), "timed-out", "timed out after 1m30s, killed by SIGKILL", True),
        (_exited("stalled", "SIGTERM"), "failed", "stalled; killed by SIGTERM", True),
        (_exited("quiet", "SIGTERM", "silent"), "timed-out", "timed out: silent, killed by SIGTERM", True),
        (_exited("budget", "SIGTERM", "all is used"), "failed", "all is used; killed by SIGTERM", False),
        (_exited("budget", None, "all is used"), "failed", "all is used", False),
        (_exited("stop", 0), "stopped", "exit code 0", False),
        (_exited("stop", None, "stopped before its start"), "stopped", "stopped before its start", False),
        (_exited("orphaned", "SIGTERM"), "failed", "ended because its supervisor was gone", True),
        (_exited("lost", None, "nobody knows"), "failed", "nobody knows", True),
        (_exited("not-started", None, "no such command"), "failed", "not started: no such command", True),
    ],
)
def test_an_end_has_one_meaning(exited: WorkerExited, status: TaskStatus, reason: str, retry: bool) -> None:
    verdict = judge(exited, 90.0)

    assert (verdict.status, verdict.reason, verdict.retry) == (status, reason, retry)


@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("end", [0, 1, "SIGTERM", "SIGSEGV", None])
@pytest.mark.parametrize("reason", get_args(EndReason))
def test_every_end_has_a_verdict_and_only_a_failure_is_worth_another_try(
    reason: EndReason, end: int | str | None, stopping: bool
) -> None:
    verdict = judge(_exited(reason, end), None, stopping=stopping)

    assert verdict.status in {"succeeded", "failed", "timed-out", "stopped"}
    assert verdict.retry == (verdict.status in {"failed", "timed-out"} and reason != "budget")
    assert (verdict.reason == "") == (verdict.status == "succeeded")
    assert (verdict.status == "succeeded") == (reason == "sentinel" or (reason == "exit" and end == 0))


@pytest.mark.parametrize(
    ("end", "status"),
    [("SIGTERM", "stopped"), ("SIGKILL", "stopped"), ("SIGSEGV", "failed"), (0, "succeeded"), (1, "failed")],
)
def test_a_signal_that_ends_programs_is_part_of_a_stop_that_is_under_way(end: int | str, status: TaskStatus) -> None:
    assert judge(_exited("exit", end), None, stopping=True).status == status
