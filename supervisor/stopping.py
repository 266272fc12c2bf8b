"""Stopping a run: its supervisor is asked where one lives; where none does, this process ends what is left of it."""

from pathlib import Path

import trio

from protocols.control import StopParams
from protocols.durations import format_duration
from protocols.errors import InputError, UnreachableError
from supervisor.fleet_client import open_fleet_client
from supervisor.fleets import Fleet, find_fleet
from supervisor.resuming import end_run
from supervisor.settings import Settings
from supervisor.standing import is_running, wait_for_port
from supervisor.summary import read_identity
from supervisor.sweep import conclude, find_end
from supervisor.up_state import find_standing
from supervisor.views import read_view

__all__ = ["stop_run"]

_PAUSE = 0.05


def stop_run(settings: Settings, prefix: str | None, params: StopParams, *, wait: bool) -> str:
    """Return what to tell the user. Raise InputError, UnreachableError."""
    fleet = _find(settings.state, prefix)
    read_identity(fleet)
    if not fleet.is_alive():
        if fleet.is_detached() and find_end(fleet) is None:
            if not wait:
                raise InputError("--no-wait: its supervisor is gone, so this command has to end it; leave that out")
            end_run(fleet, settings, params)
            return f"run {fleet.name} has ended"
        conclude(fleet)
        return f"run {fleet.name} is not running"
    try:
        return trio.run(_ask_stop, fleet, params, wait)
    except UnreachableError:
        if is_running(fleet):
            raise
        return f"run {fleet.name} has ended"


def _find(state: Path, prefix: str | None) -> Fleet:
    """Raise InputError, and UnreachableError for the name of a worker whose supervisor is gone."""
    try:
        return find_fleet(state, prefix)
    except InputError:
        left = find_standing(state)
        if prefix is None or left is None or not left.is_detached():
            raise
        if prefix.partition("/")[0] not in read_view(left.folder.journal).tasks:
            raise
    raise UnreachableError(f"{state}: no supervisor runs here that could stop a worker; start one with: callboard up")


async def _ask_stop(fleet: Fleet, params: StopParams, wait: bool) -> str:
    await wait_for_port(fleet)
    async with open_fleet_client(fleet.folder.control_socket) as client:
        result = await client.stop(params)
        if not wait:
            how = f"KILL after {format_duration(result.grace)}" if result.grace else "KILL"
            return f"run {fleet.name} is stopping ({how})"
        await client.wait_closed()
    while fleet.is_alive() or fleet.process_lives():  # noqa: ASYNC110 - another process; it writes its report
        await trio.sleep(_PAUSE)
    return f"run {fleet.name} has ended"
