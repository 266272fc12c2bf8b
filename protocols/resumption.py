"""Where a run stands that its supervisor has left, as its records tell it: what another one has to go on with."""

from collections import Counter
from dataclasses import dataclass, field

from protocols.attempt_view import AttemptView
from protocols.events import WorkerExited, WorkerStarted
from protocols.ids import AttemptId, TaskId
from protocols.kinds import Stream, TaskStatus
from protocols.outcomes import cause_of
from protocols.retry import Cause
from protocols.states import InstanceLink, RunView, TaskView
from protocols.task_output import Failure, TaskOutput

__all__ = ["OpenAttempt", "Resumption", "find_resumption"]

_DONE: frozenset[TaskStatus] = frozenset(("succeeded", "failed", "timed-out", "parked"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAttempt:
    """An attempt whose end is not recorded. It may run, have ended, or never have begun."""

    task: TaskId
    number: int
    id: AttemptId
    started: WorkerStarted | None
    covered: dict[Stream, int]
    """Bytes of each stream that records cover."""
    epoch: int
    """Of the supervisor that takes it up now."""
    told: bool
    """The status of the task tells of it."""
    silent_since: float
    """Unix time of its last output, or of its start."""
    seen_at: float
    """Unix time of the last that is recorded of the run: until then it was surely looked after."""
    waited: float = 0.0
    """Seconds that it waited for a permission or for quota."""
    session_told: int = 0
    """Of a session: how many records of its course there are."""
    prompts: tuple[str, ...] = ()
    """As they are sent, where that is not what the plan says."""
    output: TaskOutput | None = None
    """What it gave to others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """What is done stays done; what is open is found out; what was waiting goes on waiting."""

    epoch: int
    last_seq: int
    begun: bool
    """Its first record is written."""
    stopping: str
    """Why the run was being stopped, empty where it was not."""
    grace: float | None
    """Of that stop, in seconds; 0 forces, None is each task's own."""
    statuses: dict[TaskId, TaskStatus]
    """Of the tasks that are over: nothing is to be done about them."""
    finished: tuple[tuple[TaskId, bool], ...]
    """The tasks that came to an end of their own, and whether well, in the order in which they did."""
    attempts: dict[TaskId, int]
    """How many attempts were begun."""
    failures_by_cause: dict[TaskId, dict[Cause, int]]
    """How many of these failed, and why, without those of which nobody has said yet what that means for the task."""
    open: tuple[OpenAttempt, ...] = ()
    ended: tuple[WorkerExited, ...] = ()
    """Last attempts that ended, of which nobody has said yet what that means for the task."""
    retries: dict[TaskId, float] = field(default_factory=dict)
    """When the next attempt was to begin, in Unix time."""
    made: dict[TaskId, tuple[TaskId, ...]] = field(default_factory=dict)
    """The tasks for the items of each fan-out, where it is known which these are."""
    outputs: dict[TaskId, TaskOutput] = field(default_factory=dict)
    """What the last attempt of each task gave to others."""
    failures: dict[TaskId, Failure] = field(default_factory=dict)
    """Why the last attempts failed behind which there was to be another one."""
    forgiven: frozenset[TaskId] = frozenset()
    """The tasks that are allowed to fail, and have."""
    links: dict[TaskId, InstanceLink] = field(default_factory=dict)
    """How far the records of each instance have come."""
    concluded: dict[AttemptId, tuple[TaskId, int, int]] = field(default_factory=dict)
    """Task, number and epoch of each attempt whose end is recorded."""


def find_resumption(view: RunView, epoch: int) -> Resumption:
    """``view``: all records of a run without an end. ``epoch``: of the supervisor that is to go on."""
    tasks = list(view.tasks.values())
    over = [task for task in tasks if task.status in _DONE]
    last = [(task, task.attempts[-1]) for task in tasks if task.attempts and not _is_over(task)]
    return Resumption(
        epoch=epoch,
        last_seq=view.last_seq,
        begun=view.run is not None,
        stopping="" if view.stopping is None else view.stopping.reason,
        grace=None if view.stopping is None or view.stopping.grace else 0.0,
        statuses={task.id: task.status for task in tasks if _is_over(task)},
        finished=tuple(
            (task.id, task.status == "succeeded") for task in sorted(over, key=lambda task: task.changed_seq)
        ),
        attempts={task.id: len(task.attempts) for task in tasks if task.attempts},
        failures_by_cause={task.id: counts for task in tasks if (counts := _count_failures(task))},
        open=tuple(
            OpenAttempt(
                task=task.id,
                number=attempt.number,
                id=attempt.id,
                started=attempt.started,
                covered=dict(attempt.output),
                epoch=epoch,
                prompts=attempt.prompts,
                output=_output(task),
                told=task.status == "running" and task.current == attempt.number,
                silent_since=attempt.last_output_at or attempt.starting_at,
                seen_at=view.last_at or attempt.starting_at,
                waited=attempt.waited_for(view.last_at or attempt.starting_at),
                session_told=0 if attempt.session is None else attempt.session.told,
            )
            for task, attempt in last
            if attempt.exited is None
        ),
        ended=tuple(attempt.exited for task, attempt in last if attempt.exited is not None and _is_news(task, attempt)),
        retries={
            task.id: task.retry_at or 0.0
            for task, attempt in last
            if task.status in {"retrying", "restarting"} and attempt.number == task.current
        },
        made={task.id: task.made for task in tasks if task.made is not None},
        outputs={task.id: output for task in tasks if (output := _output(task)) is not None},
        failures={task.id: Failure(task.failure, _is_of_output(task)) for task in tasks if task.failure},
        forgiven=frozenset(task.id for task in tasks if task.allowed and task.status in _DONE),
        links=dict(view.links),
        concluded={
            attempt.id: (task.id, attempt.number, attempt.epoch)
            for task in tasks
            for attempt in task.attempts
            if attempt.exited is not None
        },
    )


def _is_over(task: TaskView) -> bool:
    return task.status in _DONE or task.status in {"skipped", "stopped"}


def _output(task: TaskView) -> TaskOutput | None:
    """That of its last attempt."""
    return task.output if task.output is not None and task.output.attempt == len(task.attempts) else None


def _is_of_output(task: TaskView) -> bool:
    """The last attempt whose end is recorded gave what the plan does not want."""
    ended = [attempt.exited for attempt in task.attempts if attempt.exited is not None]
    return bool(ended) and ended[-1].reason == "output"


def _is_news(task: TaskView, attempt: AttemptView) -> bool:
    """The status does not tell yet how this one ended."""
    return attempt.number > task.current or (attempt.number == task.current and task.status == "running")


def _count_failures(task: TaskView) -> dict[Cause, int]:
    """Those of an earlier pass over the run count no more."""
    told = (
        each.exited for each in task.attempts[task.passed :] if each.exited is not None and not _is_news(task, each)
    )
    return dict(Counter(cause for exited in told if (cause := cause_of(exited)) is not None))
