"""Following a run of another process: its journal and its spool are looked at until there is no more to come."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from actors.anchor import Anchor
from actors.journal_file import read_records
from protocols.attempt_view import AttemptView
from protocols.errors import InputError, JournalError
from protocols.events import Record, RunEnded
from protocols.ids import TaskId, WorkerId
from protocols.kinds import Stream
from protocols.layout import streams_of
from protocols.states import RunView
from protocols.task_events import RunRetried
from protocols.wording import did_you_mean, quote
from supervisor.fleets import Fleet, tell_detached
from supervisor.run_log import warn
from supervisor.salvage import read_behind
from supervisor.sweep import conclude, find_end
from supervisor.views import update_view

__all__ = ["Log", "check_folder", "read_batches", "warn_detached"]

_PAUSE = 0.15
_BATCH = 1000
_SHOWN = 12  # tasks that an error names


def read_batches(
    fleet: Fleet, after: int = 0, *, follow: bool = False, pause: Callable[[float], object] = time.sleep
) -> Iterator[list[Record]]:
    """The records behind number ``after``, in batches: those that are there, or, to follow, all until the run ends.

    Where the supervisor was killed, the run is concluded, and that is part of it. While there is nothing new, ``pause``
    is called with seconds. Raise `JournalError`, or `InputError` where the run is removed meanwhile.
    """
    living, ended = follow, False
    while living:
        living = fleet.is_alive()  # before we read: what a dead one wrote is all there
        for batch in _batches(fleet, after):
            yield batch
            after = batch[-1].seq
            for record in batch:
                if isinstance(record.event, RunEnded | RunRetried):
                    ended = isinstance(record.event, RunEnded)
        if ended:
            return
        if living:
            pause(_PAUSE)
    check_folder(fleet)
    conclude(fleet)
    yield from _batches(fleet, after)
    if follow:
        warn_detached(fleet)


def warn_detached(fleet: Fleet) -> None:
    """There is more to come, but not before somebody goes on with the run."""
    if fleet.is_detached() and find_end(fleet) is None:
        warn(f"run {fleet.name} is detached: {tell_detached(fleet)}")


def check_folder(fleet: Fleet) -> None:
    """Raise `InputError` where somebody has removed the run since it was found."""
    if not fleet.folder.root.exists():
        raise InputError(f"run {fleet.name}: it was removed meanwhile; there is no {fleet.folder.root} any more")


def _batches(fleet: Fleet, after: int) -> Iterator[list[Record]]:
    if not fleet.folder.journal.exists():  # it has just begun
        return
    batch: list[Record] = []
    try:
        for record in read_records(fleet.folder.journal, after):
            batch.append(record)
            if len(batch) == _BATCH:
                yield batch
                batch = []
    except JournalError:
        if batch:
            yield batch  # what comes before a record that cannot be read is not lost with it
        check_folder(fleet)
        raise
    if batch:
        yield batch


@dataclass(slots=True)
class Log:
    """The bytes of one attempt of a task: of its stdout or its terminal, or of its stderr."""

    fleet: Fleet
    task: TaskId
    number: int | None = None
    """Of the attempt; None: the last one."""
    stderr: bool = False
    log: bool = False
    """What was read of the file that is followed."""
    view: RunView = field(default_factory=RunView)

    def refresh(self) -> bool:
        """Read on in the journal; return whether there can be more to come in it."""
        living = self.fleet.is_alive()
        if not living:
            conclude(self.fleet)
        update_view(self.view, self.fleet.folder.journal)
        return living and self.view.outcome is None

    def check(self, *, follow: bool = False) -> None:
        """Raise `InputError` where there is no such task, attempt or stream or nothing yet; to follow, wait for it."""
        while (open_ended := self.refresh() and follow) and not self.view.tasks:
            time.sleep(_PAUSE)
        task = self.view.tasks.get(self.task)
        if task is None:
            raise InputError(f"task {quote(self.task)}: {self._unknown()}")
        if self.attempt() is None and not open_ended:
            count = len(task.attempts)
            what = (
                f"it has no attempt {self.number}; the last is {count}" if count else f"it did not start: {task.status}"
            )
            raise InputError(f"task {quote(self.task)}: {what}")
        if (attempt := self.attempt()) is not None:
            self._stream(attempt)

    def _stream(self, attempt: AttemptView) -> Stream:
        streams = streams_of(attempt.source, log=bool(attempt.log), command=bool(attempt.argv))
        if self.log and "log" not in streams:
            raise InputError(f"task {quote(self.task)}: it follows no log file; leave --log out")
        if self.stderr and attempt.source == "logfile" and "stderr" not in streams:
            raise InputError(f"task {quote(self.task)}: it follows a file and runs nothing; leave --stderr out")
        if self.stderr and "stderr" not in streams:
            raise InputError(
                f"task {quote(self.task)}: it ran on a terminal, where all output is one stream; leave --stderr out"
            )
        return "stderr" if self.stderr else "log" if self.log else streams[0]

    def _unknown(self) -> str:
        names = list(self.view.tasks)
        guess = did_you_mean(self.task, names)
        return f"run {self.fleet.name} has no such task{guess or _list(names)}"

    def attempt(self) -> AttemptView | None:
        """The attempt that is meant; None where it has not begun. The choice is made once."""
        task = self.view.tasks.get(self.task)
        if task is None or not task.attempts:
            return None
        if self.number is None:
            self.number = task.attempts[-1].number
        return task.attempt(self.number)

    def read(self, start: int = 0, length: int | None = None, *, follow: bool = False) -> Iterator[bytes]:
        """The bytes from ``start`` on, as they are in the spool; to follow, until the attempt has ended.

        Where its worker cuts that meanwhile, what is there then comes from its beginning on.

        Raise `InputError` where there is no such stream.
        """
        place, end = Anchor(start), None if length is None else start + length
        more = True
        while more and place.at != end:
            running = self.refresh()
            attempt = self.attempt()
            more = follow and running and (attempt is None or attempt.exited is None)
            for chunk, behind in self._read_to_end(attempt, place, end):
                yield chunk
                place = behind
            if more:
                time.sleep(_PAUSE)

    def _read_to_end(
        self, attempt: AttemptView | None, place: Anchor, end: int | None
    ) -> Iterator[tuple[bytes, Anchor]]:
        if attempt is None:
            return
        path = self.fleet.folder.spool(WorkerId(self.task), attempt.number, self._stream(attempt))
        yield from read_behind(path, place, end)


def _list(names: Sequence[str]) -> str:
    if not names:
        return "; it has no tasks at all"
    more = len(names) - _SHOWN
    return f"; it has {', '.join(names[:_SHOWN])}" + (f" and {more} more" if more > 0 else "")
