"""What a session's events come to: what its worker has to write, to tell, to answer and to end."""

from typing import TypeAlias

import msgspec

from protocols.session_events import Outcome, SessionEvent

__all__ = [
    "LONGEST_ANSWER",
    "Change",
    "PermissionAsked",
    "PromptEnded",
    "QuestionAsked",
    "Tell",
    "Withdrawn",
    "Write",
    "written",
]

LONGEST_ANSWER = 200_000
"""Characters; of a longer one the end is kept."""


class Write(msgspec.Struct, frozen=True):
    """Readable text, to be appended to what was written before."""

    text: str


class Tell(msgspec.Struct, frozen=True):
    """To be recorded."""

    event: SessionEvent


class PermissionAsked(msgspec.Struct, frozen=True):
    """Somebody has to answer, once, or the session waits for ever. Told once for each ``id``."""

    id: str
    session: str
    """Ours, or a child of it."""
    tool: str
    """Of the permission that is asked, such as ``bash``, ``edit``, ``webfetch``."""
    patterns: tuple[str, ...]
    """The commands or paths that it is asked for."""
    command: str = ""
    """All of the shell command, where it is one and is known."""
    path: str = ""
    always: tuple[str, ...] = ()
    """What a reply ``always`` would allow from then on."""


class QuestionAsked(msgspec.Struct, frozen=True):
    id: str
    session: str
    questions: tuple[tuple[str, tuple[str, ...]], ...]
    """Each text with the labels of its options."""


class Withdrawn(msgspec.Struct, frozen=True):
    """The permission or question is answered, by whomever, or nobody waits for an answer any more."""

    id: str


class PromptEnded(msgspec.Struct, frozen=True):
    """Exactly one for each prompt."""

    message: str
    outcome: Outcome
    text: str = ""
    """What the agent said last, without reasoning: the last `LONGEST_ANSWER` characters of its last message."""
    error: str = ""
    code: str = ""
    status: int | None = None
    retryable: bool = False
    retry_after: str = ""
    """The header of that name, where the model's provider sent one."""


Change: TypeAlias = Write | Tell | PermissionAsked | QuestionAsked | Withdrawn | PromptEnded


def written(text: str) -> list[Change]:
    """No text is no change."""
    return [Write(text)] if text else []
