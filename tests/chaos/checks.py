"""What must hold of any run that is over, whatever happened to it: nothing runs, nothing is lost, nothing is open."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import get_args

from actors.journal_file import read_records
from actors.keeper_process.marks import find_marked
from actors.keeper_process.procfs import describe
from protocols.events import (
    AttemptStarting,
    Record,
    RunEnded,
    RunStarted,
    WorkerExited,
    WorkerMismatch,
    WorkerOutput,
    WorkerStarted,
)
from protocols.fleet_events import ActorFailed
from protocols.ids import WorkerId
from protocols.kinds import Stream
from protocols.layout import streams_of
from protocols.states import RunView
from supervisor.fleets import Fleet
from supervisor.locks import is_locked
from tests.chaos.content import Content
from tests.chaos.ledgers import Ledger, Said, living, read_ledger
from tests.chaos.worker import CONTENT
from tests.sources import PTY

__all__ = ["Losses", "find_faults", "find_lost"]

_FDS: dict[Stream, int] = {"stdout": 1, "terminal": 1, "stderr": 2}
_OVER = frozenset(("succeeded", "failed", "timed-out", "parked", "skipped", "stopped"))


@dataclass
class Losses:
    """When supervisor and keeper were dead at the same time: what was in a pipe then is lost."""

    moments: list[int] = field(default_factory=list)
    """The number of the last record before each of them."""

    def note(self, seq: int) -> None:
        self.moments.append(seq)

    def between(self, first: int, last: int) -> bool:
        return any(first <= moment < last for moment in self.moments)


def find_faults(fleet: Fleet, ledgers: Path, losses: Losses) -> list[str]:
    """All that is wrong, each with its place. Before the journal was there, only processes can be wrong."""
    faults = [*_processes(fleet, ledgers)]
    if fleet.folder.journal.exists():
        records = list(read_records(fleet.folder.journal))
        faults += [*_journal(fleet, records), *_attempts(fleet, records, ledgers, losses)]
    return [*faults, *_logs(fleet)]


def _processes(fleet: Fleet, ledgers: Path) -> Iterator[str]:
    left = [*living(ledgers), *(find_marked(f"{fleet.identity.fleet}/") if fleet.identity is not None else ())]
    yield from (f"left behind: {describe(process)}" for process in left)
    if fleet.keeper_lives():
        yield "the keeper is left behind"
    if is_locked(fleet.folder.lock):
        yield "somebody holds the lock of the run"


def _journal(fleet: Fleet, records: list[Record]) -> Iterator[str]:
    with closing(sqlite3.connect(fleet.folder.journal)) as db:
        (answer,) = db.execute("PRAGMA integrity_check").fetchone()
    if answer != "ok":
        yield f"the journal is damaged: {answer}"
    if [record.seq for record in records] != list(range(1, len(records) + 1)):
        yield "the numbers of the records have holes"
    view = RunView()
    for record in records:
        view.apply(record)
        if isinstance(record.event, ActorFailed | WorkerMismatch):
            yield f"record {record.seq}: {record.event}"
    begun, ended = (sum(isinstance(record.event, kind) for record in records) for kind in (RunStarted, RunEnded))
    if (begun, ended) not in ((1, 1), (0, 1)):
        yield f"the run began {begun} times and ended {ended} times"
    if records and not isinstance(records[-1].event, RunEnded):
        yield f"the last record is {records[-1].event}"
    yield from (f"task {task.id} is {task.status}" for task in view.tasks.values() if task.status not in _OVER)


def _attempts(fleet: Fleet, records: list[Record], ledgers: Path, losses: Losses) -> Iterator[str]:
    def key(record: Record) -> tuple[str, int]:
        return getattr(record.event, "worker", ""), getattr(record.event, "attempt", 0)

    own = [record for record in records if hasattr(record.event, "worker")]
    for (worker, number), group in groupby(sorted(own, key=key), key):
        history = list(group)
        for fault in _attempt(fleet, WorkerId(worker), number, history, ledgers, losses):
            yield f"{worker} attempt {number}: {fault}"


def _attempt(
    fleet: Fleet, worker: WorkerId, number: int, history: list[Record], ledgers: Path, losses: Losses
) -> Iterator[str]:
    begins = [record for record in history if isinstance(record.event, AttemptStarting)]
    ends = [record for record in history if isinstance(record.event, WorkerExited)]
    starts = [record for record in history if isinstance(record.event, WorkerStarted)]
    if len(begins) != 1 or len(ends) != 1 or len(starts) > 1:
        yield f"{len(begins)} beginnings, {len(starts)} starts and {len(ends)} ends"
        return
    begin, end = begins[0].event, ends[0].event
    assert isinstance(begin, AttemptStarting) and isinstance(end, WorkerExited)
    ledger = read_ledger(ledgers / begin.id)
    lossy = losses.between(begins[0].seq, ends[0].seq)
    yield from _exit(ledger, end, lossy=lossy)
    for stream in get_args(Stream):
        path = fleet.folder.spool(worker, number, stream)
        spooled = path.read_bytes() if path.exists() else b""
        covered = _covered(history, stream)
        told = getattr(end, f"{stream}_bytes")
        if not covered == len(spooled) == told:
            yield f"{stream}: {len(spooled)} bytes in the spool, records cover {covered}, its end tells {told}"
        if stream in streams_of(begin.source):
            seed = begin.argv[begin.argv.index(str(ledgers)) - 1]
            yield from find_lost(seed, stream, spooled, ledger.streams.get(_FDS[stream], Said()), lossy=lossy)


def _exit(ledger: Ledger, end: WorkerExited, *, lossy: bool) -> Iterator[str]:
    """A kill may come between what a worker says and what it does; where nobody was there, nobody knows."""
    unknown = end.code is None and end.signal is None
    if ledger.code is not None and end.code != ledger.code and end.signal is None and not (unknown and lossy):
        yield f"it ended with {ledger.code}, and its end tells {end}"
    if ledger.code is None and end.code == 0:
        yield f"it said nothing of an end, and its end tells {end}"


def _covered(history: list[Record], stream: Stream) -> int:
    """Bytes that records cover, each once and in order; -1 where that is not so."""
    at = 0
    for record in history:
        if isinstance(record.event, WorkerOutput) and record.event.stream == stream:
            if record.event.offset != at:
                return -1
            at += record.event.length
    return at


def find_lost(seed: str, stream: Stream, spooled: bytes, said: Said, *, lossy: bool) -> Iterator[str]:
    """All of what a worker's writes have taken is there, and at most a part of the write that was under way."""
    content = Content(CONTENT.format(seed=seed, stream=_FDS[stream])).take(said.most)
    if said.sha and hashlib.sha256(content[: said.least]).hexdigest() != said.sha:
        yield f"{stream}: the worker wrote something else than we think"
    if not content.startswith(spooled):
        same = next((at for at, (a, b) in enumerate(zip(content, spooled, strict=False)) if a != b), said.most)
        yield f"{stream}: other bytes than it wrote, from {same} on: {spooled[same:][:80]!r}"
    room = (said.room or PTY.holds) if lossy else 0
    if not said.least - room <= len(spooled) <= said.most:
        yield f"{stream}: {len(spooled)} bytes in the spool, it wrote {said.least} to {said.most}, {room} may be lost"


def _logs(fleet: Fleet) -> Iterator[str]:
    for path in (fleet.folder.log, fleet.folder.keeper_log):
        if path.exists() and "Traceback" in (text := path.read_text(errors="replace")):
            yield f"{path.name}: {text}"
