"""What is asked of a living worker: to take bytes, an interrupt, a reply to what its session asks, one more prompt."""

from typing import Literal, TypeAlias

import msgspec

from protocols.bases import KeeperRequest
from protocols.ids import AttemptId, CommandId

__all__ = [
    "InputRequest",
    "Interrupt",
    "Permit",
    "Prompt",
    "Prompted",
    "SessionRequest",
    "Signal",
    "Unread",
    "Waiting",
    "Write",
    "Written",
]


class _InputRequest(KeeperRequest, frozen=True, kw_only=True):
    attempt: AttemptId


class Write(_InputRequest, frozen=True, kw_only=True, tag="write"):
    """Write to the stdin of a worker, where that is a pipe, or type at its terminal. Answered with `Written` at once,
    or refused: ``EAGAIN`` where it does not read, ``EPIPE`` where it has closed its input, ``EBADF`` where it has none,
    ``ESRCH`` where it has ended."""

    data: str
    """1 to 4096 bytes as latin-1. A pipe takes all of them or none."""
    note: bool = False  # a word of ours, which an agent is told; what a person types is refused by a session


class Unread(_InputRequest, frozen=True, kw_only=True, tag="unread"):
    """How much of what was written to its stdin, a pipe, it has not read yet. Answered with `Waiting`, or refused as
    `Write`. A keeper before version 3 does not know it."""


class Interrupt(_InputRequest, frozen=True, kw_only=True, tag="interrupt"):
    """SIGINT to who is in the foreground of its terminal, else to its process group."""


class Signal(_InputRequest, frozen=True, kw_only=True, tag="signal"):
    """To the process group of a worker; refused with ``ESRCH`` where it leads none any more. A keeper before version 3
    does not know it."""

    number: int


class Permit(_InputRequest, frozen=True, kw_only=True, tag="permit"):
    """No keeper is asked this: the reply to a permission that a session waits for. Answered when its server has it, or
    refused: ``ENOENT`` where nobody waits for it, or somebody was faster."""

    permission: str
    reply: Literal["once", "always", "reject"]
    message: str = ""


class Prompt(_InputRequest, frozen=True, kw_only=True, tag="prompt"):
    """No keeper is asked this: one more prompt for a session, behind those that it has. Answered with `Prompted` when
    it is on the disk. The same ``command`` again changes nothing."""

    command: CommandId
    text: str


SessionRequest: TypeAlias = Permit | Prompt
"""These no keeper is asked."""
InputRequest: TypeAlias = Write | Unread | Interrupt | Signal | SessionRequest


class Written(msgspec.Struct, frozen=True):
    written: int
    """Bytes that it took."""


class Waiting(msgspec.Struct, frozen=True):
    unread: int
    """Bytes."""


class Prompted(msgspec.Struct, frozen=True):
    number: int
    """Of the prompt in its session, from 1."""
