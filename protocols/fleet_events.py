"""What is recorded of a fleet as a whole: its journal, its keeper, its actors, what was left behind."""

from typing import TypeAlias

from protocols.bases import BaseEvent

__all__ = [
    "ActorFailed",
    "FleetEvent",
    "FleetNotice",
    "FleetSwept",
    "JournalResumed",
    "KeeperLost",
    "KeeperStarted",
    "ProcessUnattributed",
    "SupervisorLeft",
]


class FleetNotice(BaseEvent, frozen=True, kw_only=True):
    """What people want to know, and nothing follows from."""


class JournalResumed(FleetNotice, frozen=True, kw_only=True, tag="journal.resumed"):
    """The journal could not be written for ``seconds``; the records were kept in memory."""

    seconds: float
    error: str


class KeeperStarted(BaseEvent, frozen=True, kw_only=True, tag="keeper.started"):
    pid: int
    generation: int
    """Grows from keeper to keeper of a fleet, also when one is commanded by another supervisor."""
    found: bool = False
    """It was at work already: its supervisor before is gone."""


class KeeperLost(BaseEvent, frozen=True, kw_only=True, tag="keeper.lost"):
    pid: int
    reason: str


class ProcessUnattributed(FleetNotice, frozen=True, kw_only=True, tag="process.unattributed"):
    """A process of this fleet of which nobody can tell the worker. It ends with the fleet."""

    pid: int
    command: str


class ActorFailed(FleetNotice, frozen=True, kw_only=True, tag="actor.failed"):
    actor: str
    error: str
    restart_in: float | None
    """None: not restarted."""


class FleetSwept(FleetNotice, frozen=True, kw_only=True, tag="fleet.swept"):
    """Processes of no known worker were ended: with the run, or, where that was killed, by a later callboard."""

    processes: tuple[str, ...]


class SupervisorLeft(FleetNotice, frozen=True, kw_only=True, tag="supervisor.left"):
    """It leaves the run as it is, for another one to go on with: ``run.resumed`` tells that this has come."""

    reason: str
    restart: bool = False
    """It is itself who comes back, in the same process."""


FleetEvent: TypeAlias = (
    JournalResumed | KeeperStarted | KeeperLost | ProcessUnattributed | ActorFailed | FleetSwept | SupervisorLeft
)
