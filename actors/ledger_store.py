"""The tables of a ledger in SQLite. Everything here blocks: call it in a thread, inside a transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from protocols.event_codec import decode_event, encode_event
from protocols.events import Event
from protocols.ids import TaskId
from protocols.ledger import On, Told
from protocols.ledger_store import Lane, Row

__all__ = ["TABLES", "FileStore"]

TABLES = """
    CREATE TABLE tasks (
        id TEXT PRIMARY KEY,
        number INTEGER NOT NULL,
        lane TEXT NOT NULL,
        priority INTEGER NOT NULL,
        position INTEGER NOT NULL,
        state TEXT NOT NULL,
        not_before REAL NOT NULL,
        body BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX ready ON tasks (lane, priority DESC, position, number) WHERE state = 'ready';
    CREATE INDEX paused ON tasks (not_before) WHERE state = 'paused';
    CREATE TABLE needs (
        need TEXT NOT NULL,
        task TEXT NOT NULL,
        wanted TEXT NOT NULL,
        PRIMARY KEY (need, task, wanted)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE lanes (lane TEXT PRIMARY KEY, ready INTEGER NOT NULL, held INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, event BLOB NOT NULL) STRICT;
    CREATE TABLE identity (name TEXT NOT NULL) STRICT;
    INSERT INTO identity VALUES (lower(hex(randomblob(16))));
"""

_row_encoder = msgspec.json.Encoder()
_row_decoder: msgspec.json.Decoder[Row] = msgspec.json.Decoder(Row)
_lane_decoder: msgspec.json.Decoder[tuple[str, ...] | None] = msgspec.json.Decoder(tuple[str, ...] | None)


class FileStore:
    """A `protocols.ledger_store.Store`. Text that is no Unicode (a name with odd bytes) is refused by msgspec."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def get(self, task: TaskId) -> Row | None:
        found = self._db.execute("SELECT body FROM tasks WHERE id = ?", (task,)).fetchone()
        return None if found is None else _row_decoder.decode(found[0])

    def add(self, row: Row) -> None:
        self._db.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _columns(row))
        self._add_needs(row)
        self._count(row, 1)

    def put(self, new: Row, old: Row) -> None:
        self._db.execute(
            "UPDATE tasks SET state = ?, not_before = ?, body = ? WHERE id = ?",
            (new.state, new.not_before, _row_encoder.encode(new), new.id),
        )
        if new.more != old.more:
            self._add_needs(new)
        if _counted(new) != _counted(old):
            self._count(old, -1)
            self._count(new, 1)

    def clear(self) -> None:
        for table in ("tasks", "needs", "lanes"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant

    def rows(self) -> Sequence[Row]:
        return self._rows("SELECT body FROM tasks ORDER BY number")

    def dependents(self, task: TaskId) -> Sequence[tuple[TaskId, On]]:
        return self._db.execute("SELECT task, wanted FROM needs WHERE need = ?", (task,)).fetchall()

    def lanes(self) -> Iterable[Lane]:
        found = self._db.execute("SELECT lane, ready, held FROM lanes").fetchall()
        return [Lane(_lane_decoder.decode(lane), ready, held) for lane, ready, held in found]

    def ready(self, labels: tuple[str, ...] | None) -> Iterator[Row]:
        query = "SELECT body FROM tasks WHERE state = 'ready' AND lane = ? ORDER BY priority DESC, position, number"
        for (body,) in self._db.execute(query, (_lane(labels),)):
            yield _row_decoder.decode(body)

    def running(self) -> Sequence[Row]:
        return self._rows("SELECT body FROM tasks WHERE state = 'running' ORDER BY number")

    def paused(self, until: float) -> Sequence[Row]:
        query = "SELECT body FROM tasks WHERE state = 'paused' AND not_before <= ? ORDER BY not_before, number"
        return self._rows(query, until)

    def pauses(self) -> tuple[int, float | None]:
        query = "SELECT count(*), min(not_before) FROM tasks WHERE state = 'paused'"
        count, first = self._db.execute(query).fetchone()
        return count, first

    def count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM tasks").fetchone()[0])

    def tell(self, event: Event) -> Told:
        cursor = self._db.execute("INSERT INTO outbox (event) VALUES (?)", (encode_event(event),))
        return Told(cursor.lastrowid or 0, event)

    def outbox(self) -> list[Told]:
        found = self._db.execute("SELECT number, event FROM outbox ORDER BY number").fetchall()
        return [Told(number, decode_event(event)) for number, event in found]

    def trim(self, upto: int) -> None:
        self._db.execute("DELETE FROM outbox WHERE number <= ?", (upto,))

    def _rows(self, query: str, *arguments: float) -> list[Row]:
        return [_row_decoder.decode(body) for (body,) in self._db.execute(query, arguments).fetchall()]

    def _add_needs(self, row: Row) -> None:
        needs = [(need.task, row.id, need.on) for need in row.needs]
        self._db.executemany("INSERT OR IGNORE INTO needs VALUES (?, ?, ?)", needs)

    def _count(self, row: Row, by: int) -> None:
        lane, ready, held = _counted(row)
        self._db.execute(
            "INSERT INTO lanes VALUES (?, ?, ?) "
            "ON CONFLICT (lane) DO UPDATE SET ready = ready + excluded.ready, held = held + excluded.held",
            (lane, by * ready, by * held),
        )


def _columns(row: Row) -> tuple[object, ...]:
    body, entry = _row_encoder.encode(row), row.entry
    rank = (_lane(row.lane), entry.priority, entry.order)
    return (row.id, row.number, *rank, row.state, row.not_before, body)


def _counted(row: Row) -> tuple[str, bool, bool]:
    return _lane(row.lane), row.state == "ready", row.holds


def _lane(labels: tuple[str, ...] | None) -> str:
    return _row_encoder.encode(labels).decode()
