"""The end of sessions whose callboard was killed, on servers that are not its own: nobody else would stop them."""

import logging
import os

import trio

from protocols.errors import PlanError, ServerError
from protocols.manifest import find_manifest
from protocols.plan_parser import parse_plan
from protocols.session_events import SessionStarted
from supervisor.fleets import Fleet
from supervisor.input_files import decode_input, read_input

__all__ = ["abort_sessions"]

logger = logging.getLogger(__name__)

_PATIENCE = 10.0


def abort_sessions(fleet: Fleet, left: list[SessionStarted]) -> None:
    """Abort those that a dead run left at work on servers of somebody else; servers of its own end with their keeper.

    A session that cannot be reached within ten seconds is logged: it works on.
    """
    try:
        passwords = _passwords(fleet)
    except PlanError as error:
        logger.warning("%s: its sessions cannot be ended: %s", fleet.name, error)
        return
    trio.run(_abort_all, [started for started in left if started.server in passwords], passwords)


def _passwords(fleet: Fleet) -> dict[str, str]:
    """By the addresses of servers that were there before. Raise PlanError."""
    path = fleet.folder.plan
    text = decode_input(read_input(path, str(path), PlanError), str(path), PlanError)
    named = find_manifest(text)
    manifest = read_input(fleet.folder.manifest, named, PlanError) if named else None
    plan = parse_plan(text, str(path), manifest=manifest)
    agents = [task.prompting.agent for task in plan.tasks if task.prompting is not None]
    return {each.attach.rstrip("/"): os.environ.get(each.password_env, "") for each in agents if each.attach}


async def _abort_all(left: list[SessionStarted], passwords: dict[str, str]) -> None:
    with trio.move_on_after(_PATIENCE) as patience:
        async with trio.open_nursery() as nursery:
            for started in left:
                nursery.start_soon(_abort, started, passwords[started.server])
    if patience.cancelled_caught:
        logger.warning("not all sessions could be ended within %g s", _PATIENCE)


async def _abort(started: SessionStarted, password: str) -> None:
    from actors.opencode_client import OpenCodeClient  # noqa: PLC0415 - who has no sessions need not have httpx in memory
    from actors.session_messages import Endpoint  # noqa: PLC0415

    try:
        await OpenCodeClient(Endpoint(started.server, password)).abort(started.session)
    except ServerError as error:
        logger.warning("session %s may work on: %s", started.session, error)
