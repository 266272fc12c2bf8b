"""Restarting an actor that failed: one for one, with growing pauses and a limit."""

import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import trio

from protocols.errors import RestartLimitError
from protocols.fleet_events import ActorFailed

__all__ = ["Child", "Report", "supervise"]

logger = logging.getLogger(__name__)

Report: TypeAlias = Callable[[ActorFailed], Awaitable[object]]

# A report may have to go through the very actor that failed: its restart must not wait for that.
_REPORT_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Child:
    """An actor and what to do when it fails.

    After ``limit`` restarts within ``window`` seconds it is not restarted again: ``escalate`` raises
    `RestartLimitError`, which ends the layer; ``park`` leaves the fleet to go on without it.
    """

    name: str
    run: Callable[..., Awaitable[object]]
    """Called with ``task_status``, and has to call ``started()``: it is ready from then on."""
    when_exhausted: Literal["escalate", "park"] = field(default="escalate", kw_only=True)
    limit: int = field(default=3, kw_only=True)
    window: float = field(default=60.0, kw_only=True)
    first_pause: float = field(default=0.5, kw_only=True)
    longest_pause: float = field(default=30.0, kw_only=True)


@dataclass(slots=True)
class _Readiness:
    """Passes the first ``started()`` on. After a restart there is nobody left to tell."""

    status: trio.TaskStatus[Any]
    reached: bool = False

    def started(self, value: object = None) -> None:
        if not self.reached:
            self.reached = True
            self.status.started(value)


async def log_only(failure: ActorFailed) -> None:
    """For an actor whose failures only the log has to know."""


async def supervise(
    child: Child,
    report: Report = log_only,
    now: Callable[[], float] = time.time,
    *,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run an actor until it returns, and again when it fails. Start it with ``nursery.start``.

    A failure before the actor was ready for the first time is raised as it is: that is a mistake, not a crash. The
    first restart comes at once; the pauses before the next ones double, with jitter. Each failure goes to the log and
    to ``report``. Raise `RestartLimitError`.
    """
    trio.lowlevel.current_task().name = child.name
    readiness = _Readiness(task_status)
    restarts = deque[float]()
    while True:
        try:
            await child.run(task_status=readiness)
            return
        except Exception as exc:
            if not readiness.reached:
                raise
            failure = exc
        pause = _next_pause(child, restarts)
        await _tell(report, ActorFailed(at=now(), actor=child.name, error=_text(failure), restart_in=pause), failure)
        if pause is not None:
            await trio.sleep(pause)
        elif child.when_exhausted == "park":
            return
        else:
            raise _exhausted(child, failure) from failure


def _next_pause(child: Child, restarts: deque[float]) -> float | None:
    """None: there were too many. Otherwise one more restart is noted."""
    moment = trio.current_time()
    while restarts and restarts[0] <= moment - child.window:
        restarts.popleft()
    count = len(restarts)
    if count >= child.limit:
        return None
    restarts.append(moment)
    if not count:
        return 0.0
    longest = min(child.longest_pause, child.first_pause * 2.0 ** (count - 1))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - keeps actors apart, hides nothing


async def _tell(report: Report, event: ActorFailed, failure: Exception) -> None:
    then = "is not restarted" if event.restart_in is None else f"is restarted in {event.restart_in:.2f} s"
    logger.error("actor %s failed and %s", event.actor, then, exc_info=failure)
    with trio.move_on_after(_REPORT_PATIENCE) as patience:
        try:
            await report(event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            patience.cancel(reason="nobody takes reports any more")
    if patience.cancel_called:
        logger.warning("the failure of actor %s could not be reported", event.actor)


def _exhausted(child: Child, failure: Exception) -> RestartLimitError:
    if not child.limit:
        return RestartLimitError(f'actor "{child.name}": failed with {_text(failure)}; the log has the details')
    return RestartLimitError(
        f'actor "{child.name}": failed after {child.limit} restarts within {child.window:g} s, the last time with '
        f"{_text(failure)}; the log has the others"
    )


def _text(failure: BaseException) -> str:
    if isinstance(failure, BaseExceptionGroup):
        return "; ".join(map(_text, failure.exceptions))
    return f"{type(failure).__name__}: {failure}"
