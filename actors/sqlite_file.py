"""Files of ours that are SQLite databases: made as a whole, known by their number and format, errors told in words.

Everything here blocks: call it in a thread.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from actors.sqlite_errors import hint_for, passing_error
from protocols.errors import JournalError, LedgerError, QueueError

__all__ = ["SIDES", "FileKind"]

SIDES = ("", "-journal", "-wal", "-shm")
"""What SQLite adds to the name of a database for the files beside it; the first is the database itself."""
_BUSY_TIMEOUT_MS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """One sort of them."""

    name: str
    """As messages call it."""
    application: int
    """The number by which its files are told from those of other programs."""
    format: int
    error: type[JournalError | LedgerError | QueueError]
    newer: str = "use the version that wrote it"
    """What to do about a file of another format."""

    def create(self, path: Path, schema: str) -> None:
        """Build the file (mode 0600) beside its place, so that what stands there is always complete.

        ``schema``: statements for within a transaction. Raise ``error``.
        """
        new = path.with_name(f"{path.name}.new")
        try:
            for side in SIDES:
                new.with_name(new.name + side).unlink(missing_ok=True)
            os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with self.explained(path), closing(_connect(new, "mode=rw")) as db:
                db.executescript(f"""
                    PRAGMA journal_mode = WAL;
                    BEGIN;
                    PRAGMA application_id = {self.application};
                    PRAGMA user_version = {self.format};
                    {schema}
                    COMMIT;
                """)
            new.rename(path)
        except OSError as exc:
            raise self.error(f"{self.name} {path}: cannot be created: {exc.strerror}; see to its folder") from exc

    def open(self, path: Path, mode: str = "mode=rw", *, retry: bool = False) -> sqlite3.Connection:
        """``mode``: as in an address of SQLite's. Raise ``error``, the file untouched, if it is not ours; with
        ``retry``, ``OSError`` where another try may help.

        Any thread may use the connection, one at a time.
        """
        with self.explained(path, retry=retry), ExitStack() as undo:
            db = undo.enter_context(closing(_connect(path, mode)))
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if application != self.application:
                what = "the database of another program" if path.stat().st_size else "empty"
                raise self.error(f"{self.name} {path}: is {what}; move it away")
            if version != self.format:
                known = f"this version of callboard knows {self.format}"
                raise self.error(f"{self.name} {path}: has format {version}, {known}; {self.newer}")
            undo.pop_all()
            return db

    @contextmanager
    def explained(self, path: Path, *, retry: bool = False) -> Iterator[None]:
        """Turn errors of SQLite into ours; with ``retry`` those that may pass into ``OSError``."""
        try:
            yield
        except sqlite3.Error as exc:
            if retry and (passing := passing_error(path, exc)) is not None:
                raise passing from exc
            raise self.error(f"{self.name} {path}: {exc}; {hint_for(exc, self.name)}") from exc


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """A pool of threads hands out another one for each call."""
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, check_same_thread=False)
    db.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    return db
