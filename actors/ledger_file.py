"""The file of a ledger: SQLite, each verb one transaction that is on the disk when it returns. Everything here blocks:
call it in a thread."""

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from actors.ledger_store import TABLES, FileStore
from actors.sqlite_errors import hint_for, passing_error
from protocols.errors import LedgerError
from protocols.ledger_rules import Rules

__all__ = ["LedgerFile", "open_ledger"]

T = TypeVar("T")

_APPLICATION_ID = 0x63626C67  # "cblg"
_FORMAT = 1
_BUSY_TIMEOUT_MS = 5000
_SETTINGS = f"""
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA journal_size_limit = {4 * 1024 * 1024};
"""
_SCHEMA = f"""
    BEGIN;
    PRAGMA application_id = {_APPLICATION_ID};
    PRAGMA user_version = {_FORMAT};
    {TABLES}
    COMMIT;
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
        with _explained(self.path, retry=True), self._transaction():
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
    with _explained(path, retry=retry), ExitStack() as undo:
        db = undo.enter_context(closing(_connect(path)))
        _check(path, db)
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
    """Build the file beside its place, so that what stands there is always complete.

    A WAL that was left there is that of another ledger: SQLite would take it for its own.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        for base in (new, path):
            for suffix in ("", "-journal", "-wal", "-shm"):
                base.with_name(base.name + suffix).unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with _explained(path), closing(_connect(new)) as db:
            db.executescript(_SCHEMA)
            db.execute("PRAGMA journal_mode = WAL")
        new.rename(path)
    except OSError as exc:
        raise LedgerError(f"ledger {path}: cannot be created: {exc.strerror}; see to its folder") from exc


def _check(path: Path, db: sqlite3.Connection) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        what = "the database of another program" if path.stat().st_size else "empty"
        raise LedgerError(f"ledger {path}: is {what}; move it away")
    if version != _FORMAT:
        raise LedgerError(
            f"ledger {path}: has format {version}, this version of callboard knows {_FORMAT}; use the version that "
            "wrote it"
        )


def _connect(path: Path) -> sqlite3.Connection:
    """Any thread may use the connection, one at a time."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    db.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    return db


@contextmanager
def _explained(path: Path, *, retry: bool = False) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        if retry and (passing := passing_error(path, exc)) is not None:
            raise passing from exc
        raise LedgerError(f"ledger {path}: {exc}; {hint_for(exc, 'ledger')}") from exc
