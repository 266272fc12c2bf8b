"""The records of one task after the other, as the bytes that are in the journal. Everything here blocks.

A journal has no index by task, as that would cost each of its writes: one is made here, of eight bytes for each record.
"""

import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from actors.journal_file import read_journal
from protocols.ids import TaskId

__all__ = ["JournalRows"]

_PAGE = 1000  # rows of one read transaction: while one is open the WAL cannot shrink
_CHUNK = 500


class _OfTask(msgspec.Struct):
    task: TaskId = TaskId("")


_decoder: msgspec.json.Decoder[_OfTask] = msgspec.json.Decoder(_OfTask)


@dataclass(slots=True)
class JournalRows:
    _db: sqlite3.Connection
    _seqs: "dict[TaskId, array[int]]" = field(default_factory=dict)

    @classmethod
    @contextmanager
    def of(cls, path: Path) -> Iterator["JournalRows"]:
        """All that are there now. Raise `JournalError`, in the body too."""
        with read_journal(path) as db:
            rows = cls(db)
            rows._find()
            yield rows

    def count(self, task: TaskId) -> int:
        return len(self._seqs.get(task, ()))

    def read(self, task: TaskId) -> Iterator[tuple[float, bytes]]:
        """Unix time and the record as one JSON object, ``seq`` first, in order."""
        seqs = self._seqs.get(task, array("q"))
        for start in range(0, len(seqs), _CHUNK):
            chunk = seqs[start : start + _CHUNK].tolist()
            marks = ", ".join("?" * len(chunk))
            query = f"SELECT seq, at, body FROM records WHERE seq IN ({marks}) ORDER BY seq"  # noqa: S608 - no text
            for seq, at, body in self._db.execute(query, chunk).fetchall():
                yield at, b'{"seq":%d,' % seq + body[1:]

    def _find(self) -> None:
        query = (
            "SELECT seq, coalesce(worker, ''), CASE WHEN worker IS NULL AND "
            "(type LIKE 'task%' OR type LIKE 'subtask.%' OR type LIKE 'workspace.%') THEN body END "
            "FROM records WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        after = 0
        while page := self._db.execute(query, [after, _PAGE]).fetchall():
            for seq, worker, body in page:
                task = TaskId(worker) if body is None else _decoder.decode(body).task
                if task:
                    self._seqs.setdefault(task, array("q")).append(seq)
            after = page[-1][0]
