"""What is told at the port of commands to workers, and of what sessions wait for."""

from typing import Annotated

import msgspec

from protocols.command_events import CommandKind
from protocols.ids import CommandId
from protocols.instance_records import join
from protocols.open_permissions import OpenPermission
from protocols.queued import Queued, QueueState, describe, kind_of

__all__ = ["CommandLine", "CommandList", "CommandListParams", "CommandParams", "PermissionList", "command_line"]


class CommandListParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    task: str | None = None
    """Of one worker: ``lint``, or ``build/lint``. None: of all that are the fleet's own."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    before: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Only those with lower numbers: the next page."""


class CommandParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: CommandId
    task: str | None = None
    """To whom it was sent, where that is a task of an instance."""


class CommandLine(msgspec.Struct, frozen=True, kw_only=True):
    command: CommandId
    number: int
    """In the order in which the commands of one run came."""
    task: str
    """As it is seen from the fleet that is asked."""
    kind: CommandKind
    what: str
    state: QueueState
    attempt: int
    """To which it went; 0: to none yet."""
    tries: int
    at: float
    """Unix time, as all that follows."""
    expires_at: float
    written_at: float | None
    ended_at: float | None
    reason: str
    """Why it failed or is tried again, or what proves that it was taken."""
    by: str


class CommandList(msgspec.Struct, frozen=True, kw_only=True):
    commands: tuple[CommandLine, ...]
    """The newest first."""
    last_seq: int


class PermissionList(msgspec.Struct, frozen=True, kw_only=True):
    permissions: tuple[OpenPermission, ...]
    """Who has waited longest first."""
    last_seq: int


def command_line(row: Queued, path: str) -> CommandLine:
    """``path``: of the run that has it, from the fleet that is asked; empty for that itself."""
    return CommandLine(
        command=row.id,
        number=row.number,
        task=join(path, row.task),
        kind=kind_of(row.new.action),
        what=describe(row.new.action),
        state=row.state,
        attempt=row.attempt or row.new.attempt,
        tries=row.tries,
        at=row.at,
        expires_at=row.expires_at,
        written_at=row.written_at,
        ended_at=row.ended_at,
        reason=row.reason,
        by=row.new.by,
    )
