"""The file of a ledger: SQLite, each verb one transaction that is on the disk when it returns. Everything here blocks:
call it in a thread."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from actors.ledger_store import TABLES, FileStore
from actors.sqlite_file import FileKind
from actors.verb_file import VerbFile, open_database
from protocols.errors import LedgerError
from protocols.ledger_rules import Rules

__all__ = ["LedgerFile", "open_ledger"]

_KIND = FileKind(name="ledger", application=0x63626C67, format=1, error=LedgerError)  # "cblg"


@dataclass(slots=True)
class LedgerFile(VerbFile[Rules]):
    """Raises `LedgerError`."""

    store: FileStore


def open_ledger(
    path: Path,
    *,
    lease: float | None = None,
    clock: Callable[[], float] | None = None,
    now: Callable[[], float] = time.time,
    new_token: Callable[[], str] = lambda: uuid.uuid4().hex,
    retry: bool = False,
) -> LedgerFile:
    """Create the ledger (mode 0600) or go on with it. Raise `LedgerError`, the file untouched, if it is not ours.

    ``clock``: None is Unix time that no setting of the clock moves as long as this process lives. ``retry``: raise
    ``OSError`` where another try may help.
    """
    db, name = open_database(_KIND, path, TABLES, retry=retry)
    store = FileStore(db)
    rules = Rules(store=store, clock=clock or _steady(), now=now, new_token=new_token, lease=lease)
    return LedgerFile(_KIND, path, name, rules, db, store)


def _steady() -> Callable[[], float]:
    began = time.time() - time.monotonic()
    return lambda: began + time.monotonic()
