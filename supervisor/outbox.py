"""What the ledger and the command queue of a dead run have told, and its journal does not have yet."""

from contextlib import closing
from typing import TypeVar

from actors.command_file import CommandStore, open_commands
from actors.journal_file import open_journal
from actors.ledger_file import open_ledger
from actors.ledger_store import FileStore
from actors.verb_file import VerbFile
from protocols.layout import FleetFolder

__all__ = ["take_in_outbox"]

R = TypeVar("R")


def take_in_outbox(folder: FleetFolder) -> None:
    """Write it down, each event once, however often this is done and wherever it is interrupted.

    For whoever holds the lock of the fleet. Raise `JournalError`, `LedgerError`, `QueueError`, and ``OSError`` where
    the disk takes nothing.
    """
    if folder.ledger.exists():
        with closing(open_ledger(folder.ledger)) as ledger:
            _take_in(folder, ledger, ledger.store)
    if folder.commands.exists():
        with closing(open_commands(folder.commands)) as queue:
            _take_in(folder, queue, queue.store)


def _take_in(folder: FleetFolder, file: VerbFile[R], store: FileStore | CommandStore) -> None:
    told = file.do(lambda _: store.outbox())
    if told:
        with closing(open_journal(folder.journal)) as journal:
            journal.append([each.event for each in told], [(file.name, each.number) for each in told])
        file.do(lambda _: store.trim(told[-1].number))
