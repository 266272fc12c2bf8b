"""Reads for the live display what workers printed last, and counts their lines, in a thread and within a budget."""

import os
import stat
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, get_args

import trio

from actors.live.blocks import WorkerText
from protocols.board import OutputRange
from protocols.ids import TaskId, WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder
from protocols.line_count import LineCount, total_lines
from protocols.redaction import Redactor
from protocols.tail import TAIL, last_lines

__all__ = ["COUNT_EVERY", "SpoolReader", "Wanted"]

_STREAMS: tuple[Stream, ...] = get_args(Stream)
COUNT_EVERY = 0.5
"""Seconds between two rounds of counting."""
_STEADY = 1.0  # seconds
_BUDGET = 0.01  # seconds of counting in one round
_CHUNK = 256 * 1024  # bytes: counting holds the GIL, for about 0.1 ms then
_PATIENCE = 0.25  # seconds that a picture waits for a disk
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY


class Wanted(NamedTuple):
    """What is to be shown of the current attempt of a task."""

    task: TaskId
    attempt: int
    ranges: tuple[OutputRange, ...]
    """The end of its output, oldest first."""
    sizes: Mapping[Stream, int]
    """Of its streams, as records tell them: nothing beyond is read."""
    lines: int
    """How many of its last lines."""
    columns: int
    """Of the screen."""
    cuts: int = 0
    """How often a file of it was cut: what was read before does not hold any more."""


@dataclass(slots=True)
class _Known:
    """What was read of an attempt. Only the loop changes it; the thread is given what it needs."""

    task: TaskId
    attempt: int
    paths: dict[Stream, str]
    sizes: Mapping[Stream, int]
    cuts: int = 0
    counts: dict[Stream, LineCount] = field(default_factory=lambda: dict.fromkeys(_STREAMS, LineCount()))
    stuck: dict[Stream, int] = field(default_factory=dict)
    """The size of a stream of which there was nothing more to read."""
    shown: tuple[object, ...] = ()
    """What the lines were read for."""
    text: WorkerText = field(default_factory=WorkerText)
    doubtful_at: float = float("-inf")
    """When the number of lines was an estimate last."""

    def told(self, now: float) -> WorkerText:
        """What is known. A number is not told as exact soon after an estimate: else its mark would come and go."""
        count = self.text.count
        if count is None or not count[1]:
            self.doubtful_at = now
        elif now < self.doubtful_at + _STEADY:
            return WorkerText(self.text.lines, (count[0], False))
        return self.text

    def recorded(self, sizes: Mapping[Stream, int]) -> None:
        if sizes != self.sizes:
            self.sizes = sizes
            self.tell_count()

    def tell_lines(self, lines: tuple[str, ...], shown: tuple[object, ...]) -> None:
        self.shown = shown
        if lines != self.text.lines:
            self.text = WorkerText(lines, self.text.count)

    def tell_count(self) -> None:
        streams = ((count, self.sizes.get(stream, 0)) for stream, count in self.counts.items())
        count = total_lines(streams, self.text.count)
        if count != self.text.count:
            self.text = WorkerText(self.text.lines, count)


class _Tail(NamedTuple):
    """The last lines of an attempt, to be read or read."""

    known: _Known
    wanted: Wanted
    lines: tuple[str, ...] = ()


class _Count(NamedTuple):
    """How far a stream is counted, and how far it is to be."""

    known: _Known
    stream: Stream
    done: LineCount
    size: int
    stuck: bool = False
    """There is nothing more to read, whatever the records tell."""


@dataclass(slots=True)
class SpoolReader:
    """Reads the spool of one fleet. Files that were pruned, cut or are none just have no lines.

    A disk that hangs holds up nobody for longer than ``patience``, in seconds: until it answers there is what was read
    before. ``clock`` gives seconds, of any origin.
    """

    folder: FleetFolder
    clock: Callable[[], float] = time.monotonic
    patience: float = _PATIENCE
    redactor: Redactor = field(default_factory=Redactor)
    _known: dict[TaskId, _Known] = field(default_factory=dict, init=False)
    """The current attempt of each task that was ever wanted; the one that was counted last comes last."""
    _count_at: float = field(default=float("-inf"), init=False)
    _limiter: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, 1), init=False)
    _arrived: deque[_Tail | _Count] = field(default_factory=deque, init=False)
    """What the thread read; also when nobody waited for it any more."""
    unsettled: bool = field(default=False, init=False)
    """What was returned last has an estimate in it: it is worth while to call again after `COUNT_EVERY`."""

    async def read(self, wanted: Sequence[Wanted]) -> dict[TaskId, WorkerText]:
        """The last lines of each, and how many it has: as they were half a second ago at most, or an estimate.

        Where nothing is new it costs microseconds, else a hop to a thread, for everything. Nothing is lost by a
        cancellation. Not to be called again before it returned.
        """
        self._take()
        found = [(self._know(each), each) for each in wanted]
        tails = [_Tail(known, each) for known, each in found if _is_new(known, each)]
        counts = self._uncounted([known for known, _ in found], [tail.known for tail in tails])
        if (tails or counts) and self._limiter.available_tokens:
            with trio.move_on_after(self.patience):  # what comes later is taken by a later call
                await trio.to_thread.run_sync(self._work, tails, counts, limiter=self._limiter, abandon_on_cancel=True)
        else:
            await trio.lowlevel.checkpoint()
        self._take()
        now = self.clock()
        texts = {known.task: known.told(now) for known, _ in found}
        self.unsettled = any(text.count is None or not text.count[1] for text in texts.values())
        return texts

    def _know(self, wanted: Wanted) -> _Known:
        known = self._known.get(wanted.task)
        if known is None or (known.attempt, known.cuts) != (wanted.attempt, wanted.cuts):
            folder = os.fspath(self.folder.attempt(WorkerId(wanted.task), wanted.attempt))
            paths: dict[Stream, str] = {stream: f"{folder}/{stream}" for stream in _STREAMS}
            known = self._known[wanted.task] = _Known(wanted.task, wanted.attempt, paths, wanted.sizes, wanted.cuts)
            known.tell_count()
        known.recorded(wanted.sizes)
        if wanted.lines <= 0 and known.shown:
            known.tell_lines((), ())
        return known

    def _uncounted(self, found: Sequence[_Known], read: Sequence[_Known]) -> deque[_Count]:
        """What has to be counted now, first those that had to wait for it longest.

        Between two rounds a little that is new: of those that are read anyway.
        """
        now = self.clock()
        if now < self._count_at:
            return deque(rest for known in read for rest in _rest_of(known) if rest.size - rest.done.counted <= _CHUNK)
        self._count_at = now + COUNT_EVERY
        tasks = {known.task for known in found}
        return deque(rest for known in self._known.values() if known.task in tasks for rest in _rest_of(known))

    def _take(self) -> None:
        while self._arrived:
            match self._arrived.popleft():
                case _Tail(known, wanted, lines):
                    known.tell_lines(lines, _asked(wanted))
                case _Count(known, stream, done, size, stuck):
                    known.counts[stream] = done
                    if stuck:
                        known.stuck[stream] = size
                    known.tell_count()
                    if self._known.get(known.task) is known:
                        self._known[known.task] = self._known.pop(known.task)

    def _work(self, tails: Sequence[_Tail], counts: deque[_Count]) -> None:
        """In the thread."""
        for known, wanted, _ in tails:
            read = partial(_read_end, known.paths, self.redactor)
            lines = last_lines(wanted.ranges, read, most=wanted.lines, columns=wanted.columns)
            self._arrived.append(_Tail(known, wanted, lines))
        until = self.clock() + _BUDGET
        while counts:
            counted = _count_on(counts.popleft())
            self._arrived.append(counted)
            if not counted.stuck and counted.done.counted < counted.size:
                counts.append(counted)  # behind the others: one that pours starves nobody
            if self.clock() >= until:
                return


def _asked(wanted: Wanted) -> tuple[object, ...]:
    return (wanted.ranges, wanted.lines, wanted.columns)


def _is_new(known: _Known, wanted: Wanted) -> bool:
    return wanted.lines > 0 and known.shown != _asked(wanted)


def _rest_of(known: _Known) -> list[_Count]:
    return [
        _Count(known, stream, count, size)
        for stream, count in known.counts.items()
        if (size := known.sizes.get(stream, 0)) > count.counted and known.stuck.get(stream) != size
    ]


def _count_on(rest: _Count) -> _Count:
    start = rest.done.counted
    chunk = _read(rest.known.paths[rest.stream], start, min(rest.size - start, _CHUNK))
    return rest._replace(done=rest.done.extended(chunk), stuck=not chunk)


def _read_end(paths: Mapping[Stream, str], redactor: Redactor, stream: Stream, end: int) -> bytes:
    length = min(max(end, 0), TAIL)
    start = max(end - length - redactor.longest, 0)  # a secret may begin before
    data = redactor.mask(_read(paths[stream], start, end - start))
    return data[-length:] if len(data) == end - start else b""  # cut under us: these bytes would end elsewhere


def _read(path: str, start: int, length: int) -> bytes:
    """Bytes of a regular file: fewer where it ends before, none where it cannot be read."""
    try:
        fd = os.open(path, _FLAGS)
    except (OSError, ValueError):  # no such name can exist
        return b""
    try:
        return os.pread(fd, length, start) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except (OSError, OverflowError):  # no file is so long
        return b""
    finally:
        os.close(fd)
