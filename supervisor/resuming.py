"""Going on with a run whose supervisor is gone, and ending one without going on."""

import dataclasses
import logging
from pathlib import Path

from protocols.control import StopParams
from protocols.errors import InputError, PlanError
from protocols.resumption import Resumption, find_resumption
from supervisor.fleets import Fleet, NewFleet, find_fleet, take_fleet
from supervisor.leftovers import end_leftovers
from supervisor.machine import boot_id, pid_namespace
from supervisor.output import Output, choose_output
from supervisor.plans import LoadedPlan, load_plan
from supervisor.runner import Course, make_durable
from supervisor.settings import Settings
from supervisor.standing import tell_stopped
from supervisor.state import open_state
from supervisor.summary import read_identity
from supervisor.sweep import conclude, find_end, find_leaders
from supervisor.version import VERSION
from supervisor.views import read_view

__all__ = ["end_run", "resume_run"]

logger = logging.getLogger(__name__)


def resume_run(prefix: str | None, settings: Settings, *, output: Output | None, show_output: bool) -> int:
    """Go on with a run and return its exit code. Raise InputError or StateError before anything has changed."""
    output = choose_output(output, show_output=show_output)
    state = open_state(settings.state)
    fleet = find_fleet(state, prefix)
    loaded = _load(fleet, settings)
    with take_fleet(fleet, VERSION) as taken:
        if taken is None:
            raise InputError(_held(fleet))
        course = Course(taken, loaded, settings, output, show_output, _find_out(fleet, taken))
        end = course.run()
    return course.tell(find_fleet(state, fleet.name), end)


def end_run(fleet: Fleet, settings: Settings, params: StopParams) -> None:
    """Stop a run that has no supervisor, each worker as its task says, and write down how it ended."""
    try:
        loaded = _load(fleet, settings)
    except PlanError as error:  # a command that is gone: its workers can be ended all the same
        logger.warning("%s", error)
        conclude(fleet, durable=True)
        return
    with take_fleet(fleet, VERSION) as taken, Path("/dev/null").open("wb") as nowhere:
        if taken is None:
            raise InputError(_held(fleet))
        left = _find_out(fleet, taken)
        stopping = dataclasses.replace(left, stopping=params.reason)
        course = Course(taken, loaded, settings, "json", False, stopping, nowhere.fileno())
        end = course.run()
    course.tell(fleet, end)


def _load(fleet: Fleet, settings: Settings) -> LoadedPlan:
    """The plan as it was when the run began. Raise InputError where the run cannot be taken up."""
    identity = read_identity(fleet)
    if fleet.is_alive():
        raise InputError(_held(fleet))
    if not fleet.is_original():
        raise InputError(f"run {fleet.name}: this folder is a copy; go on with the run where it was started")
    if find_end(fleet) is not None:
        raise InputError(f"run {fleet.name}: it has ended; see: callboard report {fleet.name}")
    if identity.boot_id == boot_id() and identity.pid_namespace != pid_namespace():
        raise InputError(f"run {fleet.name}: it was started in another container; resume it there")
    loaded = load_plan(fleet.folder.plan, Path(identity.cwd), grace=settings.stop.grace)
    return make_durable(loaded) if identity.durable == "all" else loaded


def _held(fleet: Fleet) -> str:
    """Why nobody else may be its supervisor."""
    return (
        tell_stopped(fleet)
        or f"run {fleet.name}: its supervisor lives (pid {fleet.owner()}); stop it first, or let it go on"
    )


def _find_out(fleet: Fleet, taken: NewFleet) -> Resumption:
    """Where the run stands. What no keeper looks after any more is ended."""
    view = read_view(fleet.folder.journal, samples=True)
    if not fleet.keeper_lives():
        swept, clean = end_leftovers(taken.identity.fleet, find_leaders(view))
        if not clean:
            logger.warning("%s: these processes cannot be ended: %s", fleet.name, ", ".join(swept))
    return find_resumption(view, taken.identity.epoch)
