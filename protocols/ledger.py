"""The ledger: which task of a run waits, may start, runs under whom, and is over; and the verbs that change that.

A task is ``waiting`` until its needs are met, then ``ready`` (``paused`` until its moment where it has one),
``running`` under one owner, and in the end ``done``; an attempt that is to be followed by another one leads back to
``paused``. A task of which a need can no longer be met is done too, as ``skipped``. `protocols.ledger_rules` has the
rules; who keeps the states does so behind `Ledger`.

Each verb happens as a whole or not at all, and with its events: they are in the outbox once the verb has happened, and
stay there until `Ledger.trim` says that they are written down elsewhere.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from protocols.events import Event
from protocols.ids import TaskId
from protocols.kinds import TaskStatus

__all__ = ["OVER", "Claimed", "Done", "Entry", "Grant", "Ledger", "Need", "On", "Retry", "Standing", "Told"]

On: TypeAlias = Literal["success", "failure", "end"]
"""How the needed task has to come to its end. ``success``: well, or badly where that is allowed. ``failure``: badly,
allowed or not. ``end``: in any way, skipped included."""
State: TypeAlias = Literal["waiting", "paused", "ready", "running", "done"]
Answer: TypeAlias = Literal["accepted", "already", "rejected"]
"""``already``: it is so, by the same owner. ``rejected``: the task is not this owner's, or over in another way."""

OVER: frozenset[TaskStatus] = frozenset(("succeeded", "failed", "timed-out", "parked", "skipped", "stopped"))
"""The outcomes. Nothing follows from ``stopped``: who needs such a task goes on waiting."""


class Need(msgspec.Struct, frozen=True):
    task: TaskId
    on: On = "success"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A task as the ledger has to know it."""

    id: TaskId
    needs: tuple[Need, ...] = ()
    labels: tuple[str, ...] = ()
    """What caps are counted by: ``role:NAME``, and those that the plan gives it."""
    priority: int = 0
    """The higher one starts first."""
    order: int = 0
    """Among equals the lower one starts first, then whoever was submitted first."""
    not_before: float = 0.0
    """A moment on the ledger's clock."""
    allow_failure: bool = False
    slots: Literal[0, 1] = 1
    """0: nothing is run for it (a group of others): it is granted whatever is free, and has no attempts."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A task runs, under this owner, until he finishes it or loses it."""

    task: TaskId
    owner: str
    attempt: int
    """Counts from 1; 0 where the task takes no slot."""
    extended: bool = False
    """Others were submitted into it before, be it none."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The task is over."""

    grant: Grant
    status: TaskStatus
    """One of `OVER`."""
    reason: str = ""
    begun: bool = True
    """The attempt was: else it does not count."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Another attempt is to follow."""

    grant: Grant
    status: Literal["retrying", "restarting"] = "retrying"
    reason: str
    pause: float
    """Seconds until then, at least."""
    keeps_slot: bool = False


End: TypeAlias = Done | Retry


class Told(msgspec.Struct, frozen=True):
    """An event of the outbox. Numbers grow, and none comes twice in the life of a ledger."""

    number: int
    event: Event


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task stands as the records of the run tell it."""

    task: TaskId
    status: TaskStatus = "pending"
    attempts: int = 0
    """How many were begun."""
    open: bool = False
    """Its last attempt is not yet judged: it may run, or have ended."""
    told: bool = True
    """The status tells of that attempt."""
    reason: str = ""
    pause: float = 0.0
    """Seconds until the next attempt, where it waits for one."""
    keeps_slot: bool = False
    """While it waits for that."""
    extended: bool = False


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    told: tuple[Told, ...] = ()


class Claimed(Changed, frozen=True, kw_only=True):
    grants: tuple[Grant, ...] = ()
    held: tuple[TaskId, ...] = ()
    """Who would have been granted too if more might start now."""
    left: int = 0
    """How many others are ready or paused."""
    wait: float = math.inf
    """Seconds until the next pause ends."""
    version: int = 0
    """Of the ledger, for `Ledger.watch`."""


class Finished(Changed, frozen=True, kw_only=True):
    answers: tuple[Answer, ...] = ()
    """One for each end that was told."""


class Renewed(Changed, frozen=True, kw_only=True):
    lost: tuple[TaskId, ...] = ()
    """These belong to somebody else now, or to nobody."""
    cancelled: tuple[TaskId, ...] = ()
    """Somebody wants the end of these."""


class Resynced(Changed, frozen=True, kw_only=True):
    grants: tuple[Grant, ...] = ()
    """For the open attempts."""
    statuses: dict[TaskId, TaskStatus] = {}
    """Of all tasks."""


class Ledger(Protocol):
    """The verbs. Each is one transaction, and may be said again by whoever does not know whether it has happened.

    A verb waits for as long as its disk or server takes nothing. It raises `LedgerError` where no waiting helps.
    """

    @property
    def name(self) -> str:
        """Of this ledger, for ever: the numbers of its outbox are meant with it."""

    async def submit(
        self, entries: Sequence[Entry], *, into: TaskId | None = None, on: On = "success", tell: Sequence[Event] = ()
    ) -> Changed:
        """Take these tasks in. One that is there already, with the same content, stays as it is; raise `LedgerError`,
        nothing changed, for one with other content, and for a need that nobody knows.

        ``into``: this task, which is not over, needs them too from now on (``on``), and goes back to waiting; its
        grant, if it has one, is void. It may be none at all: then it is ready again. ``tell``: events that are to be
        in the outbox with that; not where nothing is new.
        """

    async def claim(
        self, node: str, free: int, caps: Mapping[str, int] | None = None, most: float = math.inf
    ) -> Claimed:
        """Grant ready tasks to ``node``, by priority, then order: as many as it has slots ``free``, and no more than
        ``caps`` says of each label, counting all that run anywhere. ``most``: how many may start now.

        Whoever keeps his slot between two attempts is granted first, whatever is free.
        """

    async def renew(self, grants: Sequence[Grant]) -> Renewed:
        """Put off the moment at which they are lost."""

    async def finish(self, ends: Sequence[End], *, tell: Sequence[Event] = ()) -> Finished:
        """End attempts, and settle what that means for others: who is ready now, and who is skipped. ``tell``: as in
        `submit`, where at least one end is accepted."""

    async def cancel(self, tasks: Sequence[TaskId] | None, reason: str) -> Changed:
        """End tasks as ``stopped`` that do not run; None: all of them. The owner of one that runs is told with
        `renew`."""

    async def reopen(self, task: TaskId) -> Changed:
        """Let a task wait for one more attempt that is over, or waits for its next one already, and with it what was
        skipped for it. `RunRetried` tells of them; their attempts go on in number. Nothing is changed for another."""

    async def reap(self, node: str | None = None) -> Changed:
        """Make those ready again whose owner did not renew them in time; with ``node``, all that it runs."""

    async def resync(self, node: str, entries: Sequence[Entry], standings: Sequence[Standing]) -> Resynced:
        """Bring the ledger up from what the records of the run tell, in the order in which the tasks ended: it may be
        new, or older than they are. Open attempts are granted to ``node``; no other grant holds any more.

        What the ledger alone knows is the end of attempts that the records do not tell of: that stays, and is told
        again.
        """

    async def watch(self, seen: int) -> int:
        """Return the version of the ledger once it is newer than this: a claim may find more."""

    async def outbox(self) -> tuple[Told, ...]:
        """What is in it."""

    async def trim(self, upto: int) -> None:
        """All up to this number is written down elsewhere."""
