"""Typing for a running task: its supervisor passes it on."""

import msgspec
import trio

from protocols.control import SendParams, SendResult
from protocols.errors import InputError, UnreachableError
from supervisor.fleet_client import open_fleet_client
from supervisor.fleets import Fleet
from supervisor.instance_tree import find_task
from supervisor.standing import is_running, wait_for_port

__all__ = ["send_text"]


def send_text(fleet: Fleet, params: SendParams) -> str:
    """Return what to tell the user. Raise InputError, UnreachableError, or FleetError where it did not arrive."""
    fleet, name = find_task(fleet, params.task)
    params = msgspec.structs.replace(params, task=name)
    try:
        if fleet.is_alive():
            sent = trio.run(_ask, fleet, params)
            return f"sent to {sent.task}, attempt {sent.attempt}"
    except UnreachableError:
        if is_running(fleet):
            raise
    raise InputError(f"run {fleet.name}: it is not running, so nobody reads what is sent")


async def _ask(fleet: Fleet, params: SendParams) -> SendResult:
    await wait_for_port(fleet)
    async with open_fleet_client(fleet.folder.control_socket) as client:
        return await client.send(params)
