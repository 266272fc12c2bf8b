"""The end of fleets whose supervisor was killed: what they left is ended, and their journal says so."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from actors.journal_file import last_seq, open_journal, read_records
from actors.keeper_process.marks import mark_of
from protocols.errors import JournalError, LedgerError
from protocols.events import RunEnded
from protocols.session_events import SessionStarted
from protocols.states import RunView
from supervisor.aftermath import closing_events
from supervisor.fleets import Fleet, find_fleets
from supervisor.instance_ends import instance_events
from supervisor.instance_tree import parent_of
from supervisor.leftovers import end_keeper, end_leftovers
from supervisor.locks import hold_lock
from supervisor.machine import boot_id, pid_namespace
from supervisor.outbox import take_in_outbox
from supervisor.report import build_report
from supervisor.report_files import keep_report
from supervisor.views import read_view

__all__ = ["conclude", "conclude_all", "contains_us", "find_end", "find_leaders"]

logger = logging.getLogger(__name__)

_KEEPER_PATIENCE = 5.0  # it ends attached workers within a second; a busy machine takes longer
_SWEEPER_PATIENCE = 15.0  # longer than a sweep by another callboard
_PAUSE = 0.02
_LAST = 100  # the end of a run is among its last records


def conclude(fleet: Fleet, *, durable: bool = False, below: bool = False, now: Callable[[], float] = time.time) -> bool:
    """End what a dead fleet left behind and write the end of its run. Return whether we did so.

    Any fleet may be given, at any time: one that lives, has ended, is damaged, or that we belong to
    ourselves is left alone; and, unless ``durable`` is said, one whose workers may go on without a
    supervisor; and, unless ``below`` is, that of an instance, with which its callboard may go on.
    Takes up to about ten seconds where processes resist. Raise `JournalError` for a journal that
    cannot be read, a newer one above all; nothing is touched then.
    """
    if not below and parent_of(fleet.folder) is not None:
        return False
    if not _is_due(fleet) or fleet.is_alive() or (fleet.is_detached() and not durable):
        return False
    try:
        with hold_lock(fleet.folder.lock, patience=_SWEEPER_PATIENCE) as held:
            return held and _is_due(fleet) and _conclude(fleet, now)
    except OSError as exc:  # a read-only disk, or the folder was pruned meanwhile
        logger.warning("%s: cannot be concluded: %s", fleet.name, exc)
        return False


def conclude_all(state: Path) -> list[Fleet]:
    """`conclude` every fleet of a state folder and return them all; what cannot be concluded is logged."""
    fleets = find_fleets(state)
    for fleet in fleets:
        try:
            conclude(fleet)
        except JournalError as exc:
            logger.warning("%s: cannot be concluded: %s", fleet.name, exc)
    return fleets


def find_end(fleet: Fleet) -> RunEnded | None:
    """The end of its run, as the journal tells it. Raise `JournalError`, also where it is missing and should not be."""
    journal = fleet.folder.journal
    if not journal.exists():
        if (fleet.folder.root / "spool").exists() or fleet.folder.report_json.exists():
            raise JournalError(f"journal {journal}: is gone; put it back, or read what is left beside it")
        return None  # killed right after its start
    for after in (max(last_seq(journal) - _LAST, 0), 0):
        found = list(read_records(journal, after, types={"run.ended", "run.retried"}))
        if found:
            end = found[-1].event
            return end if isinstance(end, RunEnded) else None
    return None


def _is_due(fleet: Fleet) -> bool:
    """Whether its supervisor is gone and the end of its run is nowhere written."""
    if fleet.identity is None or fleet.process_lives():
        return False
    return not contains_us(fleet) and find_end(fleet) is None


def contains_us(fleet: Fleet) -> bool:
    """This process is (of) a worker of this fleet."""
    return fleet.identity is not None and f"{fleet.identity.fleet}/" in (mark_of(os.getpid()) or "")


def _conclude(fleet: Fleet, now: Callable[[], float]) -> bool:
    """The journal comes first: where it cannot be written, nothing is touched."""
    if fleet.identity is None:
        return False
    try:
        take_in_outbox(fleet.folder)
    except LedgerError as exc:
        logger.warning("%s: what only its ledger knows is left out: %s", fleet.name, exc)
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
            from supervisor.session_ends import abort_sessions  # noqa: PLC0415 - `callboard runs` is to be quick

            abort_sessions(fleet, sessions)
        told = instance_events(fleet.folder, view, partial(conclude, below=True))
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


def find_leaders(view: RunView, *, borrowed: bool = False) -> list[tuple[int, int]]:
    """Workers without a recorded end, by pid and start time, where a pid means the same to us.

    Those that somebody else started, and that are not ours to end, only if they are wanted too (``borrowed``).
    """
    attempts = [each for task in view.tasks.values() for each in task.attempts if borrowed or each.is_ours]
    started = [each.started for each in attempts if each.started and not each.exited]
    return [
        (each.pid, each.start_ticks)
        for each in started
        if each.boot_id == boot_id() and each.pid_namespace == pid_namespace()
    ]
