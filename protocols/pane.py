"""Where a worker is to be seen, if that is a pane of tmux: as its source tells it, and as it is recorded."""

from typing import Literal

from protocols.bases import AttemptReport, WorkerEvent

__all__ = ["Pane", "Unclaimed", "WorkerPane", "WorkerUnclaimed"]


class WorkerPane(WorkerEvent, frozen=True, kw_only=True, tag="worker.pane"):
    """The pane of tmux that a worker has, and how its output is read from now on."""

    socket: str
    session: str
    """Its id, such as ``$3``."""
    pane: str
    adopted: bool
    """It was there before, and is somebody else's."""
    own: bool = False
    """What runs there is ours to end all the same."""
    reading: Literal["control", "polling"]
    """By a control client, byte for byte; or as a picture that is taken now and then, for the reason ``why``."""
    why: str = ""


class Pane(AttemptReport, frozen=True, kw_only=True, tag="pane"):
    """The same, of an attempt."""

    socket: str
    session: str
    pane: str
    adopted: bool
    own: bool = False
    reading: Literal["control", "polling"]
    why: str = ""


class WorkerUnclaimed(WorkerEvent, frozen=True, kw_only=True, tag="worker.unclaimed"):
    """A session that is what the task adopts, and that no task of the run has. Told once for each."""

    socket: str
    """As the plan names the server."""
    name: str


class Unclaimed(AttemptReport, frozen=True, kw_only=True, tag="unclaimed"):
    """The same, by an attempt."""

    socket: str
    name: str
