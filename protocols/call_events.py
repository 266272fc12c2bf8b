"""What somebody outside has asked of a fleet, and what came of it: the audit records, and the memory of keys."""

from typing import TypeAlias

from protocols.bases import BaseEvent
from protocols.ids import CommandId
from protocols.queued import QueueState

__all__ = ["CallAnswered", "CallAsked", "CallEvent", "CallRecord", "call_text"]


class CallEvent(BaseEvent, frozen=True, kw_only=True):
    number: int
    """Of the call, from 1 on in each fleet."""
    method: str
    who: str
    """Who asked: a token's name, a user, or a worker."""


class CallAsked(CallEvent, frozen=True, kw_only=True, tag="call.asked"):
    """Recorded before anything is done about it."""

    address: str
    pid: int = 0
    """Of the process that asked, where it is on this machine; 0: unknown."""
    about: str = ""
    """The task, as it was named."""
    text: str = ""
    """The parameters as JSON, their first characters."""
    key: str = ""
    """By which the client knows what it asked for; empty: it gave none."""
    digest: str = ""
    """Of the parameters, where there is a key: who comes again with it has to want the same."""


class CallAnswered(CallEvent, frozen=True, kw_only=True, tag="call.answered"):
    task: str = ""
    """Which it was about, or which it made."""
    attempt: int = 0
    command: CommandId = CommandId("")
    """That of the queue which it became."""
    state: QueueState | None = None
    """How far that was."""
    upto: int = 0
    """All that it changed is told by records up to this number."""
    code: int = 0
    """Of the error, as JSON-RPC has it; 0: it was done."""
    error: str = ""


CallRecord: TypeAlias = CallAsked | CallAnswered


def call_text(event: CallEvent) -> str | None:
    """A line for people: of what was asked, and of what was not done. What was done is told by what happened. May hold
    control characters."""
    match event:
        case CallAsked():
            return f"{event.who} asks: {event.method}{f' {event.about}' if event.about else ''}"
        case CallAnswered():
            return f"not done for {event.who}: {event.method}: {event.error}" if event.code else None
        case _:
            return None
