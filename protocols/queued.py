"""A command in the queue of a fleet: what is wanted of which worker, and how far that is."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from protocols.command_events import CommandKind
from protocols.ids import CommandId, TaskId

__all__ = [
    "MOST_EXPIRES",
    "OVER",
    "Action",
    "Approve",
    "NewCommand",
    "QueueState",
    "Queued",
    "Restart",
    "SendKeys",
    "SendSignal",
    "SendText",
    "describe",
    "kind_of",
]

QueueState: TypeAlias = Literal["queued", "written", "accepted", "done", "failed", "expired"]
OVER: frozenset[QueueState] = frozenset(("done", "failed", "expired"))
MOST_EXPIRES = 86400.0 * 30
_SHOWN = 200  # characters of a text in a record


class _Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A field that is not known is an error."""


class SendText(_Action, frozen=True, kw_only=True, tag="text"):
    """Typed at its terminal, written to its stdin, or the next prompt of its session."""

    text: Annotated[str, msgspec.Meta(max_length=4000)]
    enter: bool = True
    """Enter is pressed behind it. A prompt has none."""


class SendKeys(_Action, frozen=True, kw_only=True, tag="keys"):
    """Bytes as they are, such as those of an arrow key."""

    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=4000)]


class SendSignal(_Action, frozen=True, kw_only=True, tag="signal"):
    signal: str
    """As `protocols.commands.SignalWorker` has it."""


class Approve(_Action, frozen=True, kw_only=True, tag="approve"):
    """Or not: the reply to a permission that its session asks for."""

    permission: str
    reply: Literal["once", "always", "reject"] = "once"
    message: str = ""


class Restart(_Action, frozen=True, kw_only=True, tag="restart"):
    grace: Annotated[float, msgspec.Meta(ge=0)] | None = None


Action: TypeAlias = SendText | SendKeys | SendSignal | Approve | Restart


class NewCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody gives to the queue."""

    id: Annotated[CommandId, msgspec.Meta(min_length=1, max_length=64)]
    """The same one again changes nothing, and is answered with what became of it."""
    task: TaskId
    action: Action
    attempt: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Only for this attempt; 0: for the one that runs when its turn comes."""
    expires: Annotated[float, msgspec.Meta(gt=0, le=MOST_EXPIRES)] = 60.0
    """Seconds until it is not written any more."""
    by: str = ""
    """Who gives it, for the records."""


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A command as the queue knows it. All moments are Unix time."""

    new: NewCommand
    number: int
    """In the order in which they came; those for one worker are written in this order."""
    state: QueueState = "queued"
    begun: bool = False
    """Somebody is about to write it, or was: until he says what came of it, nobody knows."""
    harmless: bool = False
    """To write it a second time changes nothing."""
    attempt: int = 0
    """To which it goes, once it was begun."""
    mark: int = 0
    """Where what comes of it begins: a length of the terminal's spool, or the number of a prompt."""
    tries: int = 0
    at: float
    expires_at: float
    not_before: float = 0.0
    """Of the next try."""
    written_at: float | None = None
    ended_at: float | None = None
    reason: str = ""
    """Why the last try did not succeed, why it failed, or what proves that it was taken."""

    @property
    def id(self) -> CommandId:
        return self.new.id

    @property
    def task(self) -> TaskId:
        return self.new.task

    @property
    def is_over(self) -> bool:
        return self.state in OVER


def kind_of(action: Action) -> CommandKind:
    match action:
        case SendText():
            return "text"
        case SendKeys():
            return "keys"
        case SendSignal():
            return "signal"
        case Approve():
            return "approve"
        case Restart():
            return "restart"


def describe(action: Action) -> str:
    """What is wanted, for people."""
    match action:
        case SendText(text=text):
            return text[:_SHOWN]
        case SendKeys(data=data):
            return data[:_SHOWN].decode("latin-1").encode("unicode_escape").decode()[:_SHOWN]
        case SendSignal(signal=signal):
            return signal
        case Approve(permission=permission, reply=reply):
            return f"{reply} {permission}"
        case Restart(grace=grace):
            return "" if grace is None else f"grace {grace:g} s"
