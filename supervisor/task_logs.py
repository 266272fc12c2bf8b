"""The file ``session-log.json`` of each task: what it was about in a few lines, then all that happened to it.

``{"format": 1, "run": …, "task": …, …, "events": [EVENT, …]}``, an event on each line, so that a long one can be read
line by line. An event is a record of the journal as ``callboard events --json`` prints it. Of a session there is also
all that its server said, ``{"type": "session.entry", "worker": TASK, "attempt": N, "kind": …, "at": …, …}``
(`protocols.session_entries`), by its time between the records.
"""

import heapq
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from actors.files import replacing
from actors.journal_rows import JournalRows
from protocols.ids import RunId, TaskId, WorkerId
from protocols.instance_records import split
from protocols.kinds import TaskStatus
from protocols.layout import FleetFolder
from supervisor.report import AttemptReport, Report, TaskReport
from supervisor.session_use import SessionUse, add_up

__all__ = ["have_task_logs", "write_task_logs"]

_TAIL = b"\n]}\n"
_Event = tuple[float, bytes]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Of all attempts together. None: of this kind of task nobody knows it."""

    attempts: int
    records: int
    prompts: int | None = None
    tools: int | None = None
    commands: int | None = None
    files: int | None = None
    """Written or edited."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost: float | None = None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before the events. Times are Unix times, durations seconds."""

    format: int = 1
    run: RunId
    task: TaskId
    role: str
    status: TaskStatus
    reason: str
    sessions: tuple[str, ...]
    """The ids of its sessions on agent servers, one for each attempt that has one."""
    started_at: float | None
    ended_at: float | None
    seconds: float | None
    counts: Counts
    attempts: tuple[AttemptReport, ...]


class _Entry(msgspec.Struct):
    at: float


_entries: msgspec.json.Decoder[_Entry] = msgspec.json.Decoder(_Entry)


def write_task_logs(folder: FleetFolder, report: Report) -> None:
    """Those that are not there as they should be, each as a whole or not at all. Raise OSError, JournalError."""
    with JournalRows.of(folder.journal) as rows:
        for task in _own_tasks(report):
            head = msgspec.json.encode(_head(report, task, rows))[:-1] + b',"events":['
            if not _is_written(folder.task_log(task.id), head):
                events = (rows.read(task.id), *_entries_of(folder, task))
                _write(folder.task_log(task.id), head, heapq.merge(*events, key=lambda event: event[0]))


def have_task_logs(folder: FleetFolder, report: Report) -> bool:
    return all(folder.task_log(task.id).exists() for task in _own_tasks(report))


def _own_tasks(report: Report) -> Iterator[TaskReport]:
    """Those of instances have theirs in the folders of these."""
    return (task for task in report.tasks if not split(task.id)[0])


def _head(report: Report, task: TaskReport, rows: JournalRows) -> Head:
    uses = [attempt.use for attempt in task.attempts if attempt.use is not None]
    return Head(
        run=report.run,
        task=task.id,
        role=task.role,
        status=task.status,
        reason=task.reason,
        sessions=tuple(use.session for use in uses if use.session),
        started_at=task.started_at,
        ended_at=task.ended_at,
        seconds=task.seconds,
        counts=_counts(task, rows.count(task.id), uses),
        attempts=task.attempts,
    )


def _counts(task: TaskReport, records: int, uses: list[SessionUse]) -> Counts:
    counts = Counts(attempts=len(task.attempts), records=records)
    if not uses:
        return counts
    used = msgspec.structs.asdict(add_up(uses))
    known = {name: used[name] for name in Counts.__struct_fields__ if name in used}
    return msgspec.structs.replace(counts, **known)


def _is_written(path: Path, head: bytes) -> bool:
    """It is about the same end, and whole."""
    try:
        with path.open("rb") as file:
            same = file.read(len(head)) == head
            file.seek(-len(_TAIL), os.SEEK_END)
            return same and file.read() == _TAIL
    except OSError:
        return False


def _write(path: Path, head: bytes, events: Iterable[_Event]) -> None:
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    with replacing(path) as file:
        file.write(head)
        between = b"\n"
        for _, event in events:
            file.write(between)
            file.write(event)
            between = b",\n"
        file.write(_TAIL)


def _entries_of(folder: FleetFolder, task: TaskReport) -> Iterator[Iterator[_Event]]:
    """What servers said to its attempts."""
    for attempt in task.attempts:
        path = folder.session_events(WorkerId(task.id), attempt.number)
        if attempt.use is not None and path.exists():
            begin = b'{"type":"session.entry","worker":%s,"attempt":%d,'
            yield _read_entries(path, begin % (msgspec.json.encode(task.id), attempt.number))


def _read_entries(path: Path, begin: bytes) -> Iterator[_Event]:
    """Line by line. What a kill has torn is left out."""
    with path.open("rb") as file:
        file.readline()
        for line in file:
            entry = line.rstrip(b",\n")
            try:
                at = _entries.decode(entry).at
            except msgspec.MsgspecError:
                return
            yield at, begin + entry[1:]
