"""The file of a journal: SQLite with one row for each record. Everything here blocks: call it in a thread.

The process that writes a journal must never open its file by other means: closing any descriptor of the file would
drop the locks that SQLite holds on it.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import msgspec

from actors.sqlite_file import FileKind
from protocols.errors import JournalError
from protocols.event_codec import decode_event, encode_event
from protocols.events import Event, Record
from protocols.ids import OutboxKey, WorkerId

__all__ = ["JournalFile", "last_seq", "open_journal", "read_journal", "read_records"]

_KIND = FileKind(
    name="journal",
    application=0x63626A6C,  # "cbjl"
    format=1,
    error=JournalError,
    newer="use the version that wrote it, or another state folder",
)
_PAGE = 1000  # rows of one read transaction: while one is open the WAL cannot shrink
_CLOSE_TIMEOUT_MS = 100
_SETTINGS = f"""
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA journal_size_limit = {8 * 1024 * 1024};
"""

# What came out of an outbox, once. Journals of older versions have no such table, and those versions do not mind it.
_TAKEN = """
    CREATE TABLE IF NOT EXISTS taken (
        source TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (source, number)
    ) STRICT, WITHOUT ROWID;
"""
# The samples, nearly all of the rows, are in no index: that would cost every write and help no reader.
_MILESTONE = "type NOT IN ('worker.output', 'worker.progress', 'worker.heartbeat')"
_SAMPLES = frozenset({"worker.output", "worker.progress", "worker.heartbeat"})
_SCHEMA = f"""
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        type TEXT NOT NULL,
        worker TEXT,
        body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX milestones ON records (seq, type) WHERE {_MILESTONE};
    {_TAKEN}
"""


@dataclass(slots=True)
class JournalFile:
    """The only writer of a journal. One thread at a time."""

    path: Path
    last: int
    """Number of the last record, 0 in an empty journal."""
    _db: sqlite3.Connection

    def append(self, events: Sequence[Event], keys: Sequence[OutboxKey | None] = ()) -> list[Record]:
        """Write all of them or none, numbered from ``last + 1``; without those whose key (one for each event, or none
        at all) came before.

        Raise ``OSError`` if the disk does not take them now (full, broken, locked: try again), `JournalError` if no
        second try can help.
        """
        every = {key or index: (event, key) for index, (event, key) in enumerate(zip_longest(events, keys))}
        with _KIND.explained(self.path, retry=True), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            fresh = [(event, key) for event, key in every.values() if key is None or not self._is_taken(key)]
            records = [Record(seq, event) for seq, (event, _) in enumerate(fresh, self.last + 1)]
            self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", [_row(record) for record in records])
            taken = [key for _, key in fresh if key is not None]
            self._db.executemany("INSERT INTO taken VALUES (?, ?)", taken)
        self.last += len(records)
        return records

    def _is_taken(self, key: OutboxKey) -> bool:
        query = "SELECT 1 FROM taken WHERE source = ? AND number = ?"
        return self._db.execute(query, key).fetchone() is not None

    def close(self) -> None:
        """Move what is in the WAL into the file, unless a reader or a full disk is in the way: it keeps until then."""
        with closing(self._db), suppress(sqlite3.OperationalError):
            self._db.execute(f"PRAGMA busy_timeout = {_CLOSE_TIMEOUT_MS}")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_journal(path: Path) -> JournalFile:
    """Create the journal (mode 0600) or go on with it. Raise `JournalError`, the file untouched, if it is not ours."""
    if not path.exists():
        _KIND.create(path, _SCHEMA)
    _open_reader(path).close()
    with _KIND.explained(path), ExitStack() as undo:
        db = undo.enter_context(closing(_KIND.open(path)))
        db.executescript(_SETTINGS)
        db.executescript(_TAKEN)
        file = JournalFile(path, _last(db), db)
        undo.pop_all()
        return file


def last_seq(path: Path) -> int:
    """The number of the last record, 0 if there is none. Raise `JournalError`."""
    with _KIND.explained(path), closing(_open_reader(path)) as db:
        return _last(db)


@contextmanager
def read_journal(path: Path) -> Iterator[sqlite3.Connection]:
    """The journal for who knows its columns. Raise `JournalError`."""
    with _KIND.explained(path), closing(_open_reader(path)) as db:
        yield db


def read_records(
    path: Path,
    after: int = 0,
    *,
    worker: WorkerId | None = None,
    types: Collection[str] | None = None,
    limit: int | None = None,
) -> Iterator[Record]:
    """Yield the records behind number ``after`` in order, up to the end of the journal as it is when that is reached.

    Filters: of one ``worker``; of certain ``types`` (tags such as ``worker.exited``); the first ``limit`` of them.
    The writer may live, or have been killed. However slow the caller is, nothing of the journal stays locked.
    Raise `JournalError` at the first record for a file, and at the record for a row, that cannot be read.
    """
    query, arguments = _query(worker, types)
    return islice(_read_pages(path, after, query, arguments), limit)


def _read_pages(path: Path, after: int, query: str, arguments: list[str]) -> Iterator[Record]:
    with closing(_open_reader(path)) as db:
        while True:
            with _KIND.explained(path):
                upto = min(after + _PAGE, _last(db))
                rows = db.execute(query, [after, upto, *arguments]).fetchall() if upto > after else []
            if upto <= after:
                return
            for row in rows:
                yield _record(path, *row)
            after = upto


def _query(worker: WorkerId | None, types: Collection[str] | None) -> tuple[str, list[str]]:
    source, conditions, arguments = "records", ["seq > ?", "seq <= ?"], list[str]()
    if worker is not None:
        conditions.append("worker = ?")
        arguments.append(worker)
    if types is not None:
        conditions.append(f"type IN ({', '.join('?' * len(types))})")
        arguments.extend(types)
        if types and _SAMPLES.isdisjoint(types):
            source = "records INDEXED BY milestones"
            conditions.append(_MILESTONE)
    return f"SELECT seq, type, body FROM {source} WHERE {' AND '.join(conditions)} ORDER BY seq", arguments  # noqa: S608 - constants


def _row(record: Record) -> tuple[int, float, str, str | None, bytes]:
    event = record.event
    tag = event.__struct_config__.tag
    return record.seq, event.at, str(tag), getattr(event, "worker", None), encode_event(event)


def _record(path: Path, seq: int, tag: str, body: bytes) -> Record:
    try:
        return Record(seq, decode_event(body))
    except msgspec.DecodeError as exc:
        raise JournalError(
            f"journal {path}: record {seq} ({tag}) is not known to this version ({exc}); read it with the version "
            "of callboard that wrote it"
        ) from exc


def _last(db: sqlite3.Connection) -> int:
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()
    return int(last)


def _open_reader(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise JournalError(f"journal {path}: there is none; nothing was recorded here")
    try:
        return _KIND.open(path, "mode=ro")
    except JournalError as exc:
        # A folder that cannot be written has no place for the index of the WAL; without a WAL there is no writer.
        if isinstance(exc.__cause__, sqlite3.OperationalError) and not path.with_name(f"{path.name}-wal").exists():
            return _KIND.open(path, "mode=ro&immutable=1")
        raise
