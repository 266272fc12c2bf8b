"""What a subscriber can ask for: topics, each a set of events, and the filter that is made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from protocols.events import (
    Event,
    InstanceRecord,
    OwnEvent,
    TaskStatusChanged,
    WorkerExited,
    WorkerOutput,
    WorkerVerdict,
)
from protocols.fan_out import group_of
from protocols.ids import RunId
from protocols.instance_records import join
from protocols.ledger import OVER
from protocols.outcomes import is_success

__all__ = ["ALL_TOPICS", "Filter", "Topic", "topics_of"]

Topic: TypeAlias = Literal[
    "run",
    "task",
    "subtask",
    "unblocked",
    "state",
    "progress",
    "stuck",
    "error",
    "complete",
    "worker",
    "log",
    "session",
    "permission",
    "command",
    "server",
    "budget",
    "instance",
    "workspace",
    "fleet",
]
"""``state``: what all that is known of a worker adds up to has changed. ``stuck``, ``error``, ``complete``: it is
confirmed that it stands still; it, or its task, came to a bad end, or to a good one. ``task``: changes of the status
of a task, ``subtask``: of one of an instance or of an item of a fan-out. ``command``: what was asked of the fleet from
outside, and what became of it. ``log``: bytes of workers. ``worker``: everything else of their lives."""
ALL_TOPICS: frozenset[Topic] = frozenset(get_args(Topic))

_BY_TAG: Mapping[str, tuple[Topic, ...]] = MappingProxyType(
    {
        "task.output": ("task",),
        "tasks.added": ("task", "subtask"),
        "tasks.submitted": ("task",),
        "subtask.unblocked": ("task", "unblocked"),
        "worker.output": ("log",),
        "worker.progress": ("progress",),
        "session.todos": ("session", "progress"),
        "session.permission": ("session", "permission"),
        "instance.linked": ("instance",),
        "spool.blocked": ("worker", "error"),
        "actor.failed": ("fleet", "error"),
        "attempt.starting": ("worker",),
    }
)
_BY_PREFIX: Mapping[str, tuple[Topic, ...]] = MappingProxyType(
    {
        "run": ("run",),
        "task": ("task",),
        "tasks": ("task",),
        "subtask": ("task", "subtask"),
        "worker": ("worker",),
        "attempt": ("worker",),
        "spool": ("worker",),
        "session": ("session",),
        "command": ("command",),
        "call": ("command",),
        "permission": ("permission",),
        "server": ("server",),
        "budget": ("budget",),
        "workspace": ("workspace",),
    }
)


def topics_of(event: Event) -> frozenset[Topic]:
    """Never empty. What comes from an instance has the topics that it has there; its tasks are subtasks here."""
    if isinstance(event, InstanceRecord):
        inner = topics_of(event.event)
        return inner | {"subtask"} if "task" in inner else inner
    match event:
        case TaskStatusChanged():
            return frozenset(_of_status(event))
        case WorkerVerdict():
            return frozenset(("state", "stuck") if event.state == "stalled" and event.confirmed else ("state",))
        case WorkerExited():
            return frozenset(("worker", "state", *_of_end(event)))
        case _:
            return _by_tag(event)


def _of_end(event: WorkerExited) -> tuple[Topic, ...]:
    if is_success(event):
        return ("complete",)
    return () if event.reason == "stop" else ("error",)


def _of_status(event: TaskStatusChanged) -> tuple[Topic, ...]:
    below: tuple[Topic, ...] = ("task", "subtask") if group_of(event.task) else ("task",)
    if event.status == "succeeded":
        return (*below, "complete")
    return (*below, "error") if event.status in OVER and event.status not in {"stopped", "skipped"} else below


def _by_tag(event: OwnEvent) -> frozenset[Topic]:
    tag = str(event.__struct_config__.tag)
    return frozenset(_BY_TAG.get(tag) or _BY_PREFIX.get(tag.partition(".")[0]) or ("fleet",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records a subscriber wants. ``worker.output`` goes by ``workers`` and ``runs`` alone: whoever names
    workers wants their log."""

    topics: frozenset[Topic] = ALL_TOPICS
    workers: frozenset[str] | None = frozenset()
    """Names as they are seen from the fleet that is asked; None: all."""
    runs: frozenset[str] | None = None
    """Ids of runs, names of instances, ``.`` for the fleet itself; None: all. What is below an instance belongs
    to it too."""

    @property
    def wants_all(self) -> bool:
        """Each record is wanted, whatever it tells."""
        return self.topics == ALL_TOPICS and self.workers is None and self.runs is None

    def wants(self, event: Event, run_of: Callable[[str], RunId | None]) -> bool:
        """``run_of``: the run of the instance of this path, as far as it is known; empty path: of the fleet itself."""
        path = event.path if isinstance(event, InstanceRecord) else ""
        if self.runs is not None and not self._is_below(path, run_of):
            return False
        own = event.event if isinstance(event, InstanceRecord) else event
        if isinstance(own, WorkerOutput):
            return self.workers is None or join(path, own.worker) in self.workers
        return not self.topics.isdisjoint(topics_of(event))

    def _is_below(self, path: str, run_of: Callable[[str], RunId | None]) -> bool:
        runs = self.runs or frozenset()
        if not path:
            return "." in runs or run_of("") in runs
        names = path.split("/")
        above = ("/".join(names[: count + 1]) for count in range(len(names)))
        return any(each in runs or run_of(each) in runs for each in above)
