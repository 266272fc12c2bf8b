"""The parameters of the methods of the port that only read; those that act have what `protocols.commands` says."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from protocols.kinds import Stream, TaskStatus
from protocols.topics import ALL_TOPICS, Filter, Topic

__all__ = [
    "DEFAULT_PART",
    "MAX_READ",
    "InstanceParams",
    "NoParams",
    "OutputParams",
    "ReadParams",
    "RunParams",
    "SubscribeParams",
    "TaskListParams",
    "TaskParams",
    "UnsubscribeParams",
    "Wanted",
]

DEFAULT_PART = 64 * 1024
MAX_READ = 1000
"""Records in one answer of ``events.read``."""
_MAX_PART = 512 * 1024
_Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
_Names: TypeAlias = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=1000)]


class NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There is nothing to say."""


class TaskListParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of the tree, as far as it is not narrowed."""

    run: _Name | None = None
    """Only those of this run: its id or the name of the task that it is; ``"."`` is the fleet that is asked."""
    status: tuple[TaskStatus, ...] = ()
    """Only those that stand so; empty: all."""


class TaskParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: _Name
    """As it is seen from the fleet that is asked: ``lint``, or ``build/lint``."""


class RunParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    run: _Name
    """Its id, or the name of the task that it is; ``"."`` is the fleet that is asked."""


class InstanceParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    instance: _Name
    """The name of the task that it is, or the id of its run."""


class OutputParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes ``[start, start + length)`` of what a worker wrote, as far as they are there."""

    task: _Name
    attempt: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """None: the last one."""
    stream: Stream | None = None
    """None: the one that people mean first."""
    start: int = 0
    """Negative: so many bytes before the end."""
    length: Annotated[int, msgspec.Meta(ge=1, le=_MAX_PART)] = DEFAULT_PART


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records; see `protocols.topics`."""

    topics: tuple[Topic, ...] | None = None
    """None: all."""
    workers: Literal["all"] | _Names = ()
    """Whose log: without them no ``worker.output`` comes. Everything else does not depend on it."""
    runs: _Names | None = None
    """Only what belongs to these: ids of runs, names of the tasks that are instances, or ``"."`` for the fleet itself.
    None: all."""

    @property
    def filter(self) -> Filter:
        return Filter(
            topics=ALL_TOPICS if self.topics is None else frozenset(self.topics),
            workers=None if self.workers == "all" else frozenset(self.workers),
            runs=None if self.runs is None else frozenset(self.runs),
        )


class SubscribeParams(Wanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records as they come, from number ``after`` on. Sent again with the same ``subscription``, the rest takes the
    place of what was said before, and ``after`` is left out: nothing is lost or comes twice."""

    subscription: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    """A name of the client's own, for this connection; None: one is made."""
    after: _Natural | None = None
    """The last number that the client has; None: what comes from now on."""
    replay: bool = False
    """Where the client is too slow: read for it from the journal what it missed, instead of telling it."""


class UnsubscribeParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subscription: str


class ReadParams(Wanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records with numbers in ``(after, upto]``."""

    after: _Natural = 0
    upto: _Natural | None = None
    """None: as far as there are some."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_READ)] = MAX_READ
    """How many numbers are looked at at most."""
