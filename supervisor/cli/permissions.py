"""What sessions wait for, and the replies of a person."""

import time
from pathlib import Path
from typing import Literal

import msgspec

from protocols.commands import ReplyPermission
from protocols.durations import format_elapsed
from protocols.errors import InputError
from protocols.open_permissions import OpenPermission
from protocols.wording import quote
from supervisor.client import Client
from supervisor.port_access import ask_port
from supervisor.table import one_line, render_table, terminal_width

__all__ = ["print_open", "print_reply"]

_TITLES = ("worker", "permission", "waits", "tool", "for")


def print_open(state: Path, *, json: bool) -> None:
    """Raise as `ask_port`."""
    found = ask_port(state, lambda client: client.permissions()).permissions
    if json:
        for each in found:
            print(msgspec.json.encode(each).decode())
        return
    if not found:
        print("nobody waits for a permission")
        return
    now = time.time()
    rows = [
        (each.task, each.permission, format_elapsed(max(now - each.asked_at, 0.0)), each.tool, _patterns(each))
        for each in found
    ]
    print(render_table(_TITLES, rows, right=("waits",), spare=("waits",), width=terminal_width()))


def print_reply(
    state: Path,
    worker: str,
    permission: str | None,
    reply: Literal["once", "always", "reject"],
    message: str = "",
) -> None:
    """``permission`` None: the only one that the worker waits for. Raise InputError, and as `ask_port`."""

    async def answer(client: Client) -> OpenPermission:
        asked = choose((await client.permissions()).permissions, worker, permission)
        command = ReplyPermission(task=worker, permission=asked.permission, reply=reply, message=message)
        await client.reply_permission(command)
        return asked

    asked = ask_port(state, answer)
    print(one_line(f"{worker}: {asked.tool} {_patterns(asked)}: {'denied' if reply == 'reject' else 'approved'}"))


def choose(found: tuple[OpenPermission, ...], worker: str, permission: str | None) -> OpenPermission:
    """Raise InputError with what there is."""
    theirs = [each for each in found if each.task == worker]
    meant = [each for each in theirs if permission in {None, each.permission}]
    if len(meant) == 1:
        return meant[0]
    if not theirs:
        raise InputError(f"worker {quote(worker)}: it waits for no permission; who does: callboard approve")
    ids = ", ".join(each.permission for each in theirs)
    if meant:
        raise InputError(f"worker {quote(worker)}: it waits for several; name one by --permission: {ids}")
    raise InputError(f"--permission: {quote(worker)} does not wait for {quote(permission or '')}; it waits for: {ids}")


def _patterns(asked: OpenPermission) -> str:
    return ", ".join(asked.patterns)
