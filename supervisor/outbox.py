"""What the ledger of a dead run has told, and its journal does not have yet."""

from contextlib import closing

from actors.journal_file import open_journal
from actors.ledger_file import open_ledger
from protocols.layout import FleetFolder

__all__ = ["take_in_outbox"]


def take_in_outbox(folder: FleetFolder) -> None:
    """Write it down, each event once, however often this is done and wherever it is interrupted.

    For whoever holds the lock of the fleet. Raise `JournalError`, `LedgerError`, and ``OSError`` where the disk takes
    nothing.
    """
    if not folder.ledger.exists():
        return
    with closing(open_ledger(folder.ledger)) as ledger:
        told = ledger.do(lambda _: ledger.store.outbox())
        if told:
            with closing(open_journal(folder.journal)) as journal:
                journal.append([each.event for each in told], [(ledger.name, each.number) for each in told])
            ledger.do(lambda _: ledger.store.trim(told[-1].number))
