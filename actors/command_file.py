"""The file of a fleet's command queue: SQLite, each verb of its rules one transaction that is on the disk when it
returns. Everything here blocks: call it in a thread."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from actors.sqlite_file import FileKind
from actors.verb_file import VerbFile, open_database
from protocols.command_events import QueueEvent
from protocols.command_rules import Rules
from protocols.errors import QueueError
from protocols.event_codec import decode_event, encode_event
from protocols.ids import CommandId, TaskId
from protocols.ledger import Told
from protocols.queued import Queued

__all__ = ["CommandFile", "CommandStore", "open_commands", "read_command", "read_commands"]

_KIND = FileKind(name="command queue", application=0x6362636D, format=1, error=QueueError)  # "cbcm"
_TABLES = """
    CREATE TABLE commands (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        task TEXT NOT NULL,
        state TEXT NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX of_task ON commands (task, number);
    CREATE INDEX open ON commands (state, number) WHERE state IN ('queued', 'written', 'accepted');
    CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, event BLOB NOT NULL) STRICT;
    CREATE TABLE identity (name TEXT NOT NULL) STRICT;
    INSERT INTO identity VALUES (lower(hex(randomblob(16))));
"""
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Queued] = msgspec.json.Decoder(Queued)


class CommandStore:
    """A `protocols.command_rules.Store`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def get(self, command: CommandId) -> Queued | None:
        return next(iter(self._rows("SELECT body FROM commands WHERE id = ?", command)), None)

    def last(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(number), 0) FROM commands").fetchone()[0])

    def put(self, row: Queued) -> None:
        values = (row.number, row.id, row.task, row.state, _encoder.encode(row))
        self._db.execute("INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?)", values)

    def waiting(self) -> Sequence[Queued]:
        return self._rows("SELECT body FROM commands WHERE state = 'queued' ORDER BY number")

    def unsettled(self) -> Sequence[Queued]:
        return self._rows("SELECT body FROM commands WHERE state IN ('written', 'accepted') ORDER BY number")

    def count_open(self, task: TaskId) -> int:
        query = "SELECT count(*) FROM commands WHERE task = ? AND state IN ('queued', 'written', 'accepted')"
        return int(self._db.execute(query, (task,)).fetchone()[0])

    def tell(self, event: QueueEvent) -> None:
        self._db.execute("INSERT INTO outbox (event) VALUES (?)", (encode_event(event),))

    def outbox(self) -> list[Told]:
        found = self._db.execute("SELECT number, event FROM outbox ORDER BY number").fetchall()
        return [Told(number, decode_event(event)) for number, event in found]

    def trim(self, upto: int) -> None:
        self._db.execute("DELETE FROM outbox WHERE number <= ?", (upto,))

    def _rows(self, query: str, *arguments: str) -> list[Queued]:
        return [_decoder.decode(body) for (body,) in self._db.execute(query, arguments)]


@dataclass(slots=True)
class CommandFile(VerbFile[Rules]):
    """Raises `QueueError`."""

    store: CommandStore


def open_commands(path: Path, *, now: Callable[[], float] = time.time, retry: bool = False) -> CommandFile:
    """Create the queue (mode 0600) or go on with it. Raise `QueueError`, the file untouched, if it is not ours.
    ``retry``: raise ``OSError`` where another try may help."""
    db, name = open_database(_KIND, path, _TABLES, retry=retry)
    store = CommandStore(db)
    return CommandFile(_KIND, path, name, Rules(store=store, now=now), db, store)


def read_commands(
    path: Path, task: TaskId | None = None, *, most: int = 100, before: int | None = None
) -> list[Queued]:
    """The last ``most`` commands, of one worker or of all, the newest first: those with numbers below ``before``.

    Its queue may be at work, or gone. Empty where there never was a command. Raise `QueueError`.
    """
    query = "SELECT body FROM commands WHERE (?1 IS NULL OR task = ?1) AND (?2 IS NULL OR number < ?2)"
    return _read(path, f"{query} ORDER BY number DESC LIMIT ?3", (task, before, most))


def read_command(path: Path, command: CommandId) -> Queued | None:
    """None: there is none. Raise `QueueError`."""
    return next(iter(_read(path, "SELECT body FROM commands WHERE id = ?", (command,))), None)


def _read(path: Path, query: str, arguments: tuple[object, ...]) -> list[Queued]:
    if not path.exists():
        return []
    with _KIND.explained(path), closing(_KIND.open(path, "mode=ro")) as db:
        return [_decoder.decode(body) for (body,) in db.execute(query, arguments)]
