"""The end of a run that its supervisor did not come to write: what is left is ended first."""

import logging
import time
from collections.abc import Callable
from contextlib import closing, suppress

from actors.journal_file import open_journal
from protocols.errors import LedgerError, QueueError
from protocols.session_events import SessionStarted
from protocols.states import RunView
from supervisor.aftermath import closing_events
from supervisor.fleets import Fleet
from supervisor.instance_ends import instance_events
from supervisor.leaders import find_leaders
from supervisor.leftovers import end_keeper, end_leftovers
from supervisor.outbox import take_in_outbox
from supervisor.report import build_report
from supervisor.report_files import keep_report
from supervisor.session_ends import abort_sessions
from supervisor.views import read_view

__all__ = ["write_end"]

logger = logging.getLogger(__name__)

_KEEPER_PATIENCE = 5.0  # it ends attached workers within a second; a busy machine takes longer
_PAUSE = 0.02


def write_end(fleet: Fleet, conclude_below: Callable[[Fleet], object], now: Callable[[], float]) -> bool:
    """Return whether it is written. ``conclude_below``: does the same for an instance. Raise OSError, `JournalError`.

    The journal comes first: where it cannot be written, nothing is touched.
    """
    if fleet.identity is None:
        return False
    try:
        take_in_outbox(fleet.folder)
    except (LedgerError, QueueError) as exc:
        logger.warning("%s: what only its ledger or its command queue knows is left out: %s", fleet.name, exc)
    with closing(open_journal(fleet.folder.journal)) as journal:
        swept: tuple[str, ...] = ()
        if fleet.is_original():  # a copy of a folder owns no processes
            if fleet.identity.durable != "none":  # its keeper waits for them, and writes down how they end
                end_leftovers(fleet.identity.fleet, find_leaders(read_view(fleet.folder.journal)))
            _end_keeper(fleet)
            swept, clean = end_leftovers(fleet.identity.fleet, find_leaders(read_view(fleet.folder.journal)))
            if not clean:
                logger.warning("%s: these processes cannot be ended: %s", fleet.name, ", ".join(swept))
                return False
        view = read_view(fleet.folder.journal, samples=True)
        if fleet.is_original() and (sessions := _open_sessions(view)):
            abort_sessions(fleet, sessions)
        told = instance_events(fleet.folder, view, conclude_below)
        for record in journal.append(told):
            view.apply(record)
        journal.append(closing_events(fleet.folder, view, swept, now()))
    with suppress(OSError):  # `callboard report` builds it again
        keep_report(fleet.folder, build_report(fleet.folder, fleet.identity, view))
    return True


def _open_sessions(view: RunView) -> list[SessionStarted]:
    attempts = [each for task in view.tasks.values() for each in task.attempts if each.exited is None]
    return [each.session.started for each in attempts if each.session and each.session.started]


def _end_keeper(fleet: Fleet) -> None:
    """Let it finish: it knows how the workers ended. One that hangs is killed."""
    deadline = time.monotonic() + _KEEPER_PATIENCE
    while fleet.keeper_lives():
        if time.monotonic() > deadline:
            logger.warning("%s: its keeper hangs and is killed", fleet.name)
            end_keeper(fleet.folder.keeper_lock)
            return
        time.sleep(_PAUSE)
