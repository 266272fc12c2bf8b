"""The long-running supervisor as a whole, from outside: waited for, started anew, ended."""

import math
import time
from pathlib import Path

import msgspec
import trio

from protocols.commands import ShutDown
from protocols.errors import FleetError, UnreachableError
from protocols.layout import StateFolder
from protocols.port_file import PortFile
from protocols.port_results import SystemInfo
from supervisor.client import Client
from supervisor.locks import lock_owner
from supervisor.port_access import ask_port
from supervisor.up_state import is_up

__all__ = ["end_up", "restart_up", "wait_until_up"]

_PAUSE = 0.05
_LAST_WORDS = 5.0  # seconds; a refusal takes no longer to be told
_RESTART = 60.0  # seconds; a long journal and a busy machine take some


def wait_until_up(state: Path, patience: float) -> SystemInfo:
    """What the supervisor of this state folder tells of itself, once it answers, whoever starts it. Raise
    `UnreachableError` where that takes longer than ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while not _is_told(StateFolder(state)):
        if time.monotonic() >= deadline:
            raise UnreachableError(f"{state}: no supervisor is ready here after {patience:g} s; see: callboard up")
        time.sleep(_PAUSE)
    return ask_port(state, lambda client: client.info())


def _is_told(state: StateFolder) -> bool:
    """The living one has said where it listens: the file may be that of one that was killed."""
    if not is_up(state.root):
        return False
    try:
        file = msgspec.json.decode(state.port_file.read_bytes(), type=PortFile)
    except (OSError, msgspec.DecodeError):
        return False
    return file.pid == lock_owner(state.up_lock)


def restart_up(state: Path, reason: str) -> SystemInfo:
    """Have it start anew in its own process; return what it tells of itself then. Raise UnreachableError, InputError
    and FleetError as the client does."""

    async def restart(client: Client) -> SystemInfo:
        before = await client.info()
        await client.shut_down(ShutDown(workers="leave", restart=True, reason=reason))
        with trio.move_on_after(_RESTART):
            while (now := await client.info()).epoch == before.epoch:  # noqa: ASYNC110 - of another process
                await trio.sleep(_PAUSE)
            return now
        raise UnreachableError(f"{state}: the supervisor (pid {before.pid}) has not come back for {_RESTART:g} s")

    return ask_port(state, restart)


def end_up(state: Path, command: ShutDown, *, wait: bool) -> SystemInfo:
    """End it, and return what it told of itself before. ``wait``: until it is gone. Raise as `restart_up`."""
    problem: FleetError | None = None

    async def end(client: Client) -> SystemInfo:
        nonlocal problem
        before = await client.info()
        try:
            await client.shut_down(command)
        except FleetError as error:  # one that has nothing to stop may be gone before it has answered
            problem = error
        return before

    told = ask_port(state, end)
    deadline = time.monotonic() + (math.inf if problem is None else _LAST_WORDS)
    while (wait or problem is not None) and is_up(state) and lock_owner(StateFolder(state).up_lock) == told.pid:
        if problem is not None and time.monotonic() > deadline:
            raise problem
        time.sleep(_PAUSE)
    return told
