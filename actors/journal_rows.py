"""The records of one task after the other, as the bytes that are in the journal. Everything here blocks.

A journal has no index by task, as that would cost each of its writes: one is made here, of eight bytes for each record.
"""

from array import array
from collections.abc import Iterator
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
    path: Path
    _seqs: "dict[TaskId, array[int]]" = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> "JournalRows":
        """All that are there now. Raise `JournalError`."""
        rows = cls(path)
        query = (
            "SELECT seq, coalesce(worker, ''), CASE WHEN worker IS NULL AND type LIKE 'task.%' THEN body END "
            "FROM records WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        after, page = 0, [(0, "", None)]
        with read_journal(path) as db:
            while page:
                page = db.execute(query, [after, _PAGE]).fetchall()
                for seq, worker, body in page:
                    after = seq
                    rows._add(TaskId(worker) if body is None else _decoder.decode(body).task, seq)
        return rows

    def _add(self, task: TaskId, seq: int) -> None:
        if task:
            self._seqs.setdefault(task, array("q")).append(seq)

    def count(self, task: TaskId) -> int:
        return len(self._seqs.get(task, ()))

    def read(self, task: TaskId) -> Iterator[tuple[float, bytes]]:
        """Unix time and the record as one JSON object, ``seq`` first, in order. Raise `JournalError`."""
        seqs = self._seqs.get(task, array("q"))
        with read_journal(self.path) as db:
            for start in range(0, len(seqs), _CHUNK):
                chunk = seqs[start : start + _CHUNK].tolist()
                marks = ", ".join("?" * len(chunk))
                query = f"SELECT seq, at, body FROM records WHERE seq IN ({marks}) ORDER BY seq"  # noqa: S608 - no text
                for seq, at, body in db.execute(query, chunk).fetchall():
                    yield at, b'{"seq":%d,' % seq + body[1:]
