"""What the command queues of a fleet and of its instances hold, for who asks at the port."""

from collections.abc import Callable, Sequence

import msgspec
import trio

from actors.command_file import read_command, read_commands
from protocols.ids import TaskId
from protocols.layout import FleetFolder
from protocols.port_commands import CommandLine, CommandList, CommandListParams, CommandParams, command_line
from protocols.port_view import UnknownNameError, find_leaf, folder_of
from protocols.queued import Queued
from protocols.redaction import Redactor
from protocols.states import RunView
from protocols.wording import quote

__all__ = ["get_command", "list_commands"]


async def list_commands(
    view: RunView, root: FleetFolder, params: CommandListParams, redactor_of: Callable[[FleetFolder], Redactor]
) -> CommandList:
    """``root``: the folder of the fleet. Raise `UnknownNameError`, or `QueueError`."""
    folder, path, task = _place(view, root, params.task)

    def read() -> list[CommandLine]:
        rows = read_commands(folder.commands, task, most=params.limit, before=params.before)
        return _told(rows, path, redactor_of(folder))

    return CommandList(commands=tuple(await trio.to_thread.run_sync(read)), last_seq=view.last_seq)


async def get_command(
    view: RunView, root: FleetFolder, params: CommandParams, redactor_of: Callable[[FleetFolder], Redactor]
) -> CommandLine:
    """``root``: the folder of the fleet. Raise `UnknownNameError`, or `QueueError`."""
    folder, path, _ = _place(view, root, params.task)

    def read() -> list[CommandLine]:
        row = read_command(folder.commands, params.command)
        return [] if row is None else _told([row], path, redactor_of(folder))

    found = await trio.to_thread.run_sync(read)
    if not found:
        raise UnknownNameError(f"command {quote(params.command)}: there is none; command.list has all")
    return found[0]


def _place(view: RunView, root: FleetFolder, name: str | None) -> tuple[FleetFolder, str, TaskId | None]:
    """The folder of the run, its path from the fleet, and the id of the task there."""
    if name is None:
        return root, "", None
    leaf = find_leaf(view, name)
    return folder_of(root, leaf), name.rpartition("/")[0], leaf.task.id


def _told(rows: Sequence[Queued], path: str, redactor: Redactor) -> list[CommandLine]:
    lines = [command_line(row, path) for row in rows]
    return [
        msgspec.structs.replace(line, what=redactor.redact_text(line.what), reason=redactor.redact_text(line.reason))
        for line in lines
    ]
