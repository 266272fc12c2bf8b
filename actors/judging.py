"""What the end of an attempt means for its task, in the course of a run."""

import trio

from actors.course import Course, Ended
from protocols.ids import TaskId
from protocols.ledger import Done, End, Retry
from protocols.outcomes import judge
from protocols.restarts import Again

__all__ = ["judge_end"]

_AGAIN = "somebody wants another attempt"


def judge_end(course: Course, ended: Ended, now: float) -> End:
    """Count it, too. ``now``: Unix time."""
    exited = ended.worker.exited
    task = TaskId(exited.worker)
    wanted_again = task in course.again and not ended.stopping
    stopping = ended.stopping or task in course.unwanted
    course.again.discard(task)
    course.unwanted.discard(task)
    grant = course.grants.pop(task)
    remedy = course.remedies.pop(task, None)
    verdict = judge(exited, course.tasks[task].timeout, stopping=stopping, remedy=remedy)
    course.judged(exited, verdict, ended.worker.output)
    if wanted_again:
        return Retry(grant=grant, status="restarting", reason=_AGAIN, pause=0.0)
    given_up = (exited.reason == "stalled" and not verdict.retry) or bool(course.used_up(task))
    if not stopping and task in course.restarts and not given_up:
        lived = 0.0 if exited.started_at is None else exited.ended_at - exited.started_at
        follows = course.restarts[task].ended(trio.current_time(), lived, verdict)
        if isinstance(follows, Again):
            course.kept.add(task)
            reason = verdict.reason or "exit code 0"
            return Retry(grant=grant, status="restarting", reason=reason, pause=follows.pause, keeps_slot=True)
        verdict = follows
    pause = course.pause_before_retry(exited, verdict, now)
    if pause is not None and not stopping:
        return Retry(grant=grant, reason=verdict.reason, pause=pause)
    if not stopping:
        verdict = course.explain(verdict, task)
    return Done(grant=grant, status=verdict.status, reason=verdict.reason)
