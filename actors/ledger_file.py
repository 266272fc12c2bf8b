"""The file of a ledger: SQLite, each verb one transaction that is on the disk when it returns. Everything here blocks:
call it in a thread."""

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from actors.ledger_store import TABLES, FileStore
from actors.sqlite_file import SIDES, FileKind
from protocols.errors import LedgerError
from protocols.ledger_rules import Rules

__all__ = ["LedgerFile", "open_ledger"]

T = TypeVar("T")

_KIND = FileKind(name="ledger", application=0x63626C67, format=1, error=LedgerError)  # "cblg"
_SETTINGS = f"""
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA journal_size_limit = {4 * 1024 * 1024};
"""


@dataclass(slots=True)
class LedgerFile:
    """One thread at a time."""

    path: Path
    name: str
    rules: Rules
    store: FileStore
    _db: sqlite3.Connection

    def do(self, verb: Callable[[Rules], T]) -> T:
        """Do it as a whole or not at all. Raise ``OSError`` if the disk does not take it now, `LedgerError`."""
        with _KIND.explained(self.path, retry=True), self._transaction():
            return verb(self.rules)

    def close(self) -> None:
        with closing(self._db), suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # a disk that is full may have ended it
                self._db.execute("ROLLBACK")


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
    if not path.exists():
        _create(path)
    with _KIND.explained(path, retry=retry), ExitStack() as undo:
        db = undo.enter_context(closing(_KIND.open(path, retry=retry)))
        db.executescript(_SETTINGS)
        (name,) = db.execute("SELECT name FROM identity").fetchone()
        store = FileStore(db)
        rules = Rules(store=store, clock=clock or _steady(), now=now, new_token=new_token, lease=lease)
        undo.pop_all()
        return LedgerFile(path, name, rules, store, db)


def _steady() -> Callable[[], float]:
    began = time.time() - time.monotonic()
    return lambda: began + time.monotonic()


def _create(path: Path) -> None:
    """A WAL that was left there is that of another ledger: SQLite would take it for its own."""
    try:
        for side in SIDES:
            path.with_name(path.name + side).unlink(missing_ok=True)
    except OSError as exc:
        raise LedgerError(f"ledger {path}: cannot be created: {exc.strerror}; see to its folder") from exc
    _KIND.create(path, TABLES)
