"""What a live display knows of a run: its records, and what the workers do right now."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from protocols.attempt_view import AttemptView
from protocols.events import (
    AttemptStarting,
    Event,
    InstanceRecord,
    OwnEvent,
    Record,
    RunStopping,
    WorkerExited,
    WorkerGap,
    WorkerMismatch,
    WorkerOutput,
)
from protocols.fleet_events import JournalResumed
from protocols.ids import TaskId
from protocols.kinds import Stream
from protocols.plain import fleet_text, worker_text
from protocols.rate import Rate
from protocols.states import RunView, TaskView
from protocols.task_tree import walk

__all__ = ["JOURNAL", "QUIET_AFTER", "SIGNAL", "Activity", "Board", "Notice", "OutputRange", "is_stalled", "silence"]

JOURNAL, SIGNAL = "journal", "signal"
"""Subjects of which records tell the end: that it cannot be written, and that one has come."""
QUIET_AFTER = 60.0
"""Seconds without output after which a worker that nobody judged needs attention."""
_SUSPECT = frozenset(("quiet", "waiting-permission", "unknown"))
_RANGES = 16
_NOTICES = 8
_NOTICED_FOR = 60.0  # seconds
_TROUBLE, _FAILED, _QUIET, _RUNNING = range(4)
_LATER = {
    "retrying": 4,
    "restarting": 4,
    "pending": 5,
    "stopped": 6,
    "failed": 7,
    "timed-out": 7,
    "parked": 7,
    "skipped": 8,
    "succeeded": 9,
}


class OutputRange(NamedTuple):
    """Bytes ``[start, end)`` of a stream."""

    stream: Stream
    start: int
    end: int


class Notice(NamedTuple):
    """Something that a person should know of the run as a whole. May hold control characters."""

    at: float
    text: str


@dataclass(slots=True)
class Activity:
    """What the current attempt of a task does, besides its `AttemptView`."""

    rate: Rate = field(default_factory=Rate)
    """Bytes per second."""
    latest: deque[OutputRange] = field(default_factory=lambda: deque(maxlen=_RANGES))
    """The end of the output in the order in which it came, oldest first. Neighbours are of different streams."""
    mismatch: str = ""
    """What is wrong with its output."""
    gap: str = ""
    """Where something of its output is lost."""

    def add(self, output: WorkerOutput) -> None:
        self.rate.add(output.at, output.length)
        start, end = output.offset, output.offset + output.length
        if self.latest and self.latest[-1].stream == output.stream:
            start = min(self.latest.pop().start, start)
        self.latest.append(OutputRange(output.stream, start, end))

    def lose(self, gap: WorkerGap) -> None:
        """What was cut off is not there to be shown any more."""
        self.gap = f"GAP in {gap.stream}"
        if gap.cut:
            kept = [each for each in self.latest if each.stream != gap.stream or each.end <= gap.offset]
            self.latest.clear()
            self.latest.extend(kept)


@dataclass(slots=True)
class Board:
    """Feed every record in order. Costs about a microsecond each, whatever there is to show."""

    view: RunView = field(default_factory=RunView)
    activities: dict[TaskId, Activity] = field(default_factory=dict)
    """Of the tasks that had an attempt."""
    notices: deque[Notice] = field(default_factory=lambda: deque(maxlen=_NOTICES))
    """Newest last."""
    standing: dict[str, str] = field(default_factory=dict)
    """What holds until it is said to be over, by subject. May hold control characters."""
    rate: Rate = field(default_factory=Rate)
    """Of all workers, in bytes per second."""
    size: int = 0
    """Bytes that all attempts of all workers wrote."""
    _tree: tuple[int, dict[TaskId, TaskView]] = field(default=(0, {}))
    """What `tasks` was, and at which record."""

    @property
    def tasks(self) -> Mapping[TaskId, TaskView]:
        """All of the run; those of instances stand behind these, by names such as ``build/itp-7``."""
        if not self.view.instances:
            return self.view.tasks
        if self._tree[0] != self.view.last_seq:
            leaves = walk(self.view)
            named = (leaf.task if not leaf.way else replace(leaf.task, id=TaskId(leaf.name)) for leaf in leaves)
            self._tree = self.view.last_seq, {task.id: task for task in named}
        return self._tree[1]

    def apply(self, record: Record) -> None:
        self.view.apply(record)
        if isinstance(record.event, InstanceRecord):
            self._apply(record.event.event, f"{record.event.path}/")
        else:
            self._apply(record.event, "")

    def _apply(self, event: OwnEvent, path: str) -> None:
        """``path``: what stands in front of the names of tasks."""
        match event:
            case WorkerOutput():
                self.size += event.length
                self.rate.add(event.at, event.length)
                self._activity(TaskId(path + event.worker)).add(event)
            case AttemptStarting():
                self.activities[TaskId(path + event.worker)] = Activity()
            case _ if path:
                pass  # the instance itself tells it
            case RunStopping():
                self.say(SIGNAL, "")  # the record tells it now
            case JournalResumed():
                self.say(JOURNAL, "")
                self._notice(event)
            case WorkerGap():
                self._activity(TaskId(event.worker)).lose(event)
                self._notice(event)
            case WorkerMismatch():
                self._activity(TaskId(event.worker)).mismatch = f"MISMATCH in {event.stream}"
                self._notice(event)
            case _:
                self._notice(event)

    def say(self, about: str, text: str) -> None:
        """From now on this is so; where ``text`` is empty, no more."""
        self.standing.pop(about, None)
        if text:
            self.standing[about] = text

    def told(self, now: float) -> list[str]:
        """What a person should know of the run as a whole, the most important last; of `SIGNAL` the hint tells."""
        fresh = [notice.text for notice in self.notices if now - notice.at < _NOTICED_FOR]
        return [*fresh, *(text for about, text in self.standing.items() if about != SIGNAL)]

    def ordered(self, now: float) -> list[TaskId]:
        """All tasks, those first that a person should look at. Within a class they stand as in the plan.

        The classes: in trouble, stalled or being stopped, failed, quiet, running, retrying, pending, stopped,
        failed but allowed to, skipped, succeeded.
        """
        tasks = self.tasks
        ranks = {name: self._rank(task, now) for name, task in tasks.items()}
        return sorted(tasks, key=ranks.__getitem__)

    def _rank(self, task: TaskView, now: float) -> int:
        if task.status == "running":
            return self._rank_running(task, now)
        if task.status in {"failed", "timed-out", "parked"} and not task.allowed:
            return _FAILED
        return _LATER[task.status]

    def _rank_running(self, task: TaskView, now: float) -> int:
        attempt = task.attempts[-1] if task.attempts else None
        if attempt is None:
            return _RUNNING
        activity = self.activities.get(task.id)
        if attempt.blocked or attempt.stopping or (activity is not None and activity.mismatch) or is_stalled(attempt):
            return _TROUBLE
        if attempt.verdict is None:
            return _QUIET if silence(attempt, now) >= QUIET_AFTER else _RUNNING
        return _QUIET if attempt.verdict.state in _SUSPECT else _RUNNING

    def _activity(self, task: TaskId) -> Activity:
        return self.activities.setdefault(task, Activity())

    def _notice(self, event: Event) -> None:
        text = worker_text(event) if isinstance(event, WorkerExited | WorkerMismatch | WorkerGap) else fleet_text(event)
        if text is not None:
            self.notices.append(Notice(event.at, text))


def is_stalled(attempt: AttemptView) -> bool:
    """It is known to stand still."""
    return attempt.verdict is not None and attempt.verdict.state == "stalled" and attempt.verdict.confirmed


def silence(attempt: AttemptView, now: float) -> float:
    """Seconds since the last output of an attempt, or since it started."""
    since = attempt.starting_at if attempt.started is None else attempt.started.at
    return max(now - (since if attempt.last_output_at is None else attempt.last_output_at), 0.0)
