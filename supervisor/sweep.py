"""The end of fleets whose supervisor was killed: what they left is ended, and their journal says so."""

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from actors.journal_file import last_seq, read_records
from actors.keeper_process.marks import mark_of
from protocols.errors import JournalError
from protocols.events import RunEnded
from supervisor.fleets import Fleet, find_fleets, parent_of
from supervisor.locks import hold_lock

__all__ = ["conclude", "conclude_all", "contains_us", "find_end"]

logger = logging.getLogger(__name__)

_SWEEPER_PATIENCE = 15.0  # longer than a sweep by another callboard
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
            return held and _is_due(fleet) and _write_end(fleet, now)
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


def _write_end(fleet: Fleet, now: Callable[[], float]) -> bool:
    from supervisor.conclusion import write_end  # noqa: PLC0415 - `callboard runs` seldom needs it, and is to be quick

    return write_end(fleet, partial(conclude, below=True), now)
