"""Going on with a run whose supervisor is gone, and ending one without going on."""

import dataclasses
import logging
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from actors.keeper_process.procfs import read_process
from actors.unix_socket import is_listening
from protocols.control import StopParams
from protocols.errors import InputError, PlanError, StateError
from protocols.ids import TaskId
from protocols.instances import Handover
from protocols.ledger import OVER
from protocols.resumption import Resumption, find_resumption
from supervisor.fleets import Fleet, find_fleet, lock_fleet, take_fleet
from supervisor.leaders import find_leaders
from supervisor.leftovers import end_leftovers
from supervisor.locks import lock_owner
from supervisor.machine import boot_id, pid_namespace
from supervisor.outbox import take_in_outbox
from supervisor.output import Output, choose_output
from supervisor.plans import LoadedPlan, load_plan, make_durable
from supervisor.runner import Course, End
from supervisor.serving import Serve
from supervisor.settings import Settings
from supervisor.standing import tell_stopped
from supervisor.state import open_state, state_error
from supervisor.submissions import drop_untold, load_submitted
from supervisor.summary import read_identity
from supervisor.sweep import conclude, contains_us, find_end
from supervisor.version import VERSION
from supervisor.views import read_view

__all__ = ["end_run", "hold_run", "load_again", "resume_run", "take_up"]

logger = logging.getLogger(__name__)

_LEAVING = 1.0  # seconds; a keeper with nothing left to keep is gone in milliseconds
_PAUSE = 0.02


def resume_run(
    prefix: str | None,
    settings: Settings,
    *,
    output: Output | None,
    show_output: bool,
    handover: Handover | None = None,
) -> int:
    """Go on with a run and return its exit code. Raise InputError or StateError before anything has changed.

    ``handover``: of an instance.
    """
    output = choose_output(output, show_output=show_output)
    state = open_state(settings.state)
    with hold_run(find_fleet(state, prefix)) as fleet:
        if read_identity(fleet).standing:
            raise InputError(f"run {fleet.name}: it is that of `callboard up`; go on with it: callboard up")
        course, end = take_up(fleet, settings, output=output, show_output=show_output, handover=handover)
    return course.tell(find_fleet(state, fleet.name), end)


def take_up(
    fleet: Fleet,
    settings: Settings,
    *,
    output: Output,
    show_output: bool = False,
    handover: Handover | None = None,
    serve: Serve | None = None,
) -> tuple[Course, End]:
    """Go on with a run whose lock we hold (`hold_run`), to its end. Raise InputError or StateError before anything
    has changed."""
    left = _find_out(fleet)
    loaded = load_again(fleet, settings, [*left.statuses, *(each.task for each in left.open)], handover)
    _sweep(fleet)
    course = Course(take_fleet(fleet, VERSION), loaded, settings, output, show_output, left, serve=serve)
    return course, course.run()


def end_run(fleet: Fleet, settings: Settings, params: StopParams) -> None:
    """Stop a run that has no supervisor, each worker as its task says, and write down how it ended.

    Raise InputError, StateError.
    """
    with hold_run(fleet) as locked, Path(os.devnull).open("wb") as nowhere:
        left = dataclasses.replace(_find_out(locked), stopping=params.reason, grace=params.grace)
        loaded = _load_or_warn(locked, settings)
        if loaded is not None:
            _sweep(locked)
            taken = take_fleet(locked, VERSION)
            course = Course(taken, loaded, settings, "json", False, left, nowhere.fileno())
            end = course.run()
    if loaded is None:
        conclude(fleet, durable=True)
    else:
        course.tell(fleet, end)


@contextmanager
def hold_run(fleet: Fleet, *, ended: bool = False) -> Iterator[Fleet]:
    """Hold the lock of a run that may be taken up, be it one that has ended. Raise InputError where it may not."""
    read_identity(fleet)
    if contains_us(fleet):
        raise InputError(f"run {fleet.name}: this process is part of it; go on with it from outside")
    if fleet.is_alive():
        raise InputError(_held(fleet))
    with lock_fleet(fleet) as found:
        if found is None:
            raise InputError(_held(fleet))
        identity = read_identity(found)
        if not found.is_original():
            raise InputError(f"run {found.name}: this folder is a copy; go on with the run where it was started")
        over = find_end(found) is not None
        if over and not ended:
            raise InputError(
                f"run {found.name}: it has ended; see: callboard report {found.name}; "
                f"its tasks run again with: callboard retry {found.name} --from TASK"
            )
        if ended and not over:
            raise InputError(f"run {found.name}: it has not ended; go on with it: callboard resume {found.name}")
        if identity.boot_id == boot_id() and identity.pid_namespace != pid_namespace():
            raise InputError(f"run {found.name}: it was started in another container; go on with it there")
        _check_keeper(found)
        yield found


def _held(fleet: Fleet) -> str:
    """Why nobody else may be its supervisor."""
    lives = f"run {fleet.name}: its supervisor lives (pid {fleet.owner()}); stop it first, or let it go on"
    return tell_stopped(fleet) or lives


def _check_keeper(fleet: Fleet) -> None:
    """One that lives has to answer: its workers would be lost with it. Raise InputError."""
    deadline = time.monotonic() + _LEAVING
    while fleet.keeper_lives():
        pid = lock_owner(fleet.folder.keeper_lock) or 0
        process = read_process(pid)
        if process is not None and process.state in "Tt":
            raise InputError(
                f"run {fleet.name}: its keeper (pid {pid}) is stopped, its workers go on; "
                f"continue it with: kill -CONT {pid}"
            )
        if is_listening(fleet.folder.keeper_socket):
            return
        if time.monotonic() > deadline:
            raise InputError(
                f"run {fleet.name}: its keeper (pid {pid}) lives and cannot be reached, its socket is gone: "
                f"{fleet.folder.keeper_socket}; to go on without what it knows: kill -9 {pid}"
            )
        time.sleep(_PAUSE)


def load_again(
    fleet: Fleet, settings: Settings, leave: Collection[TaskId], handover: Handover | None = None
) -> LoadedPlan:
    """The plan as it was when the run began. ``leave``: tasks that need nothing any more. Of a standing fleet, those of
    its tasks that are not over. Raise PlanError, StateError."""
    identity = read_identity(fleet)
    if identity.standing:
        view = read_view(fleet.folder.journal)
        drop_untold(fleet.folder, view.tasks)
        waiting = [task.id for task in view.tasks.values() if task.status not in OVER]
        return load_submitted(fleet.folder, waiting, settings.up.concurrency, settings.stop.grace)
    loaded = load_plan(
        fleet.folder.plan,
        identity.start,
        grace=settings.stop.grace,
        leave=leave,
        kept=fleet.folder,
        bounds=None if handover is None else handover.bounds,
    )
    loaded = msgspec.structs.replace(loaded, handover=handover)
    return make_durable(loaded) if identity.durable == "all" else loaded


def _load_or_warn(fleet: Fleet, settings: Settings) -> LoadedPlan | None:
    """None where the plan cannot be read any more: its workers can be ended all the same."""
    try:
        return load_again(fleet, settings, leave=[*read_view(fleet.folder.journal).tasks])
    except (PlanError, StateError) as error:
        logger.warning("%s", error)
        return None


def _find_out(fleet: Fleet) -> Resumption:
    """Raise JournalError, LedgerError, QueueError, StateError."""
    try:
        take_in_outbox(fleet.folder)
    except OSError as error:
        raise state_error(fleet.folder.root, error) from error
    return find_resumption(read_view(fleet.folder.journal, samples=True), read_identity(fleet).epoch + 1)


def _sweep(fleet: Fleet) -> None:
    """End what no keeper looks after any more."""
    if fleet.keeper_lives():
        return
    view = read_view(fleet.folder.journal)
    swept, clean = end_leftovers(read_identity(fleet).fleet, find_leaders(view))
    if not clean:
        logger.warning("%s: these processes cannot be ended: %s", fleet.name, ", ".join(swept))
