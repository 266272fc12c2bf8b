"""A file of ours in which each verb is one transaction that is on the disk when it returns. Everything here blocks:
call it in a thread."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from actors.sqlite_file import SIDES, FileKind

__all__ = ["VerbFile", "open_database"]

R = TypeVar("R")
T = TypeVar("T")

_SETTINGS = f"""
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA journal_size_limit = {4 * 1024 * 1024};
"""


@dataclass(slots=True)
class VerbFile(Generic[R]):
    """One thread at a time."""

    kind: FileKind
    path: Path
    name: str
    """Its own for ever: of its outbox."""
    rules: R
    db: sqlite3.Connection

    def do(self, verb: Callable[[R], T]) -> T:
        """Do it as a whole or not at all. Raise ``OSError`` if the disk does not take it now, else the error of its
        kind."""
        with self.kind.explained(self.path, retry=True), self._transaction():
            return verb(self.rules)

    def close(self) -> None:
        with closing(self.db), suppress(sqlite3.OperationalError):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        finally:
            if self.db.in_transaction:  # a disk that is full may have ended it
                self.db.execute("ROLLBACK")


def open_database(kind: FileKind, path: Path, tables: str, *, retry: bool) -> tuple[sqlite3.Connection, str]:
    """Create it (mode 0600) or go on with it; with the name that its table ``identity`` has. Raise the error of its
    kind, and with ``retry`` ``OSError`` where another try may help."""
    if not path.exists():
        _create(kind, path, tables)
    db = kind.open(path, retry=retry)
    try:
        with kind.explained(path, retry=retry):
            db.executescript(_SETTINGS)
            (name,) = db.execute("SELECT name FROM identity").fetchone()
            return db, str(name)
    except BaseException:
        db.close()
        raise


def _create(kind: FileKind, path: Path, tables: str) -> None:
    """A WAL that was left there is that of another file: SQLite would take it for its own."""
    try:
        for side in SIDES:
            path.with_name(path.name + side).unlink(missing_ok=True)
    except OSError as exc:
        raise kind.error(f"{kind.name} {path}: cannot be created: {exc.strerror}; see to its folder") from exc
    kind.create(path, tables)
