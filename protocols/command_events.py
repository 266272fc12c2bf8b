"""What is recorded of a command on its way to a worker: one event for each state."""

from typing import Literal, TypeAlias

from protocols.bases import BaseEvent
from protocols.ids import CommandId, WorkerId

__all__ = [
    "CommandAccepted",
    "CommandDone",
    "CommandEvent",
    "CommandExpired",
    "CommandFailed",
    "CommandKind",
    "CommandQueued",
    "CommandWritten",
    "QueueEvent",
]

CommandKind: TypeAlias = Literal["text", "keys", "signal", "approve", "restart"]


class CommandEvent(BaseEvent, frozen=True, kw_only=True):
    command: CommandId
    worker: WorkerId
    kind: CommandKind


class CommandQueued(CommandEvent, frozen=True, kw_only=True, tag="command.queued"):
    """It is on the disk, and will be written once."""

    what: str
    """For people: the first 200 characters of a text, a signal's name and the like."""
    by: str = ""
    """Who gave it."""
    expires_at: float
    """Unix time after which it is not written any more."""


class _Reached(CommandEvent, frozen=True, kw_only=True):
    attempt: int
    """The attempt of the worker to which it went."""


class CommandWritten(_Reached, frozen=True, kw_only=True, tag="command.written"):
    """It was handed to the worker, or to what is in front of it: a pipe, a terminal, an agent server."""

    tries: int
    """How often that was tried; what had not arrived before is sure not to have."""


class CommandAccepted(_Reached, frozen=True, kw_only=True, tag="command.accepted"):
    """The worker provably took it."""

    why: str
    """The proof, for people."""


class CommandDone(_Reached, frozen=True, kw_only=True, tag="command.done"):
    """What it was for has happened."""


class CommandFailed(CommandEvent, frozen=True, kw_only=True, tag="command.failed"):
    attempt: int = 0
    """To which it went, or was to go; 0: none."""
    tries: int
    reason: str
    """Where nobody knows whether it arrived, it says so."""


class CommandExpired(CommandEvent, frozen=True, kw_only=True, tag="command.expired"):
    """Its time was over before it could be written. It never arrived."""


QueueEvent: TypeAlias = CommandQueued | CommandWritten | CommandAccepted | CommandDone | CommandFailed | CommandExpired
