"""What there is to do for a session on an agent server, each once."""

from typing import TypeAlias

import msgspec

from protocols.session_requests import Answer

__all__ = ["Abort", "Deed", "Look", "SendPrompt"]


class SendPrompt(msgspec.Struct, frozen=True):
    """Behind the log: what is in there is known to a later callboard."""

    message: str
    body: bytes


class Abort(msgspec.Struct, frozen=True):
    """Whatever the session does."""


class Look(msgspec.Struct, frozen=True):
    """A snapshot is wanted."""


Deed: TypeAlias = SendPrompt | Abort | Look | Answer
