"""Turn the growth of one attempt's spool files into records, with progress and heartbeat."""

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import trio

from actors.anchor import Anchor
from actors.messages import Append, Follow, FollowRequest, Grown, Unfollow
from actors.report_events import event_of
from actors.spool_files import open_spools, read_start
from protocols.events import (
    Event,
    WorkerGap,
    WorkerHeartbeat,
    WorkerMismatch,
    WorkerOutput,
    WorkerProgress,
)
from protocols.ids import WorkerId
from protocols.keeper import Ended, Exited, Report
from protocols.kinds import Stream
from protocols.progress import TAIL, Progress, ProgressTracker, find_progress, read_checkboxes

__all__ = ["Notice", "Streamer"]

Notice: TypeAlias = Grown | Report

_STREAMS: tuple[Stream, ...] = get_args(Stream)
_PROGRESS_EVERY = 0.2  # people see no more; a worker that pours is looked at five times a second
_SAMPLE_EVERY = 60.0
_CUT = "the worker cut the file that it writes"
_UNFOLLOW_DEADLINE = 1.0  # a follower that is gone too; usually microseconds


@dataclass(slots=True)
class _Course:
    """How far the records of one attempt are. Times on trio's clock."""

    files: dict[Stream, int]
    grown_at: float
    beat_at: float
    covered: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(_STREAMS, 0))
    anchors: dict[Stream, Anchor] = field(default_factory=dict)
    """Of the files that may be cut."""
    grown: Stream | None = None
    """The stream that grew last."""
    looked: bool = True
    """What grew was looked at for progress."""
    looked_at: float = float("-inf")
    tracker: ProgressTracker = field(default_factory=ProgressTracker)
    sampled: str = ""
    sampled_at: float = float("-inf")

    def due(self) -> float:
        """When there is something to do even if nothing happens."""
        return self.beat_at if self.looked else min(self.beat_at, self.looked_at + _PROGRESS_EVERY)

    def is_resting(self) -> bool:
        """It was told that the worker is quiet, and it still is."""
        return self.sampled == "quiet" and self.grown_at <= self.sampled_at

    def cut(self, stream: Stream, fd: int) -> int:
        """How many bytes were cut off since the last look. What is there then counts as new, whatever it is."""
        anchor = self.anchors.get(stream) or self.anchors.setdefault(stream, Anchor.on(fd, self.covered[stream]))
        if anchor.holds(fd):
            return 0
        lost, self.covered[stream], self.anchors[stream] = self.covered[stream], 0, Anchor()
        return lost

    def tail(self, stream: Stream) -> bytes:
        start = max(0, self.covered[stream] - TAIL)
        return os.pread(self.files[stream], TAIL, start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamer:
    """Follow one attempt from its start to its end.

    ``inbox`` gets the keeper's reports and the follower's notices (``notices`` is its other end). A notice may be
    dropped where the inbox is full: any message makes the streamer look. The spool files exist when `run` is called.
    """

    worker: WorkerId
    attempt: int
    spools: dict[Stream, Path]
    inbox: trio.MemoryReceiveChannel[Notice]
    notices: trio.MemorySendChannel[Notice]
    follower: trio.MemorySendChannel[FollowRequest]
    outbox: trio.MemorySendChannel[Append]
    covered: Mapping[Stream, int] = field(default_factory=dict)
    """Bytes that an earlier supervisor has recorded."""
    silent_for: float = 0.0
    """Seconds that it had printed nothing when this begins."""
    direct: bool = False
    """The worker writes these files itself, and may cut them."""
    progress_file: Path | None = None
    heartbeat: float = 5.0
    now: Callable[[], float] = time.time

    async def run(self) -> Ended:
        """Send what happens until the keeper says that nothing is left; return its last report."""
        with open_spools(self.spools) as files:
            async with self._followed(files):
                now = trio.current_time()
                course = _Course(files, grown_at=now - self.silent_for, beat_at=now + self.heartbeat)
                course.covered.update(self.covered)
                return await self._stream(course)

    async def _stream(self, course: _Course) -> Ended:
        while True:
            notice: Notice | None = None
            with trio.move_on_at(self._due(course)):
                notice = await self.inbox.receive()
            await self._send(self._output(course))
            match notice:
                case Grown() | Exited() | None:
                    pass
                case Ended():
                    await self._send(self._progress(course, last=True))
                    await self._send(self._mismatches(course, notice))
                    return notice
                case _:
                    await self._send([event_of(notice, self.worker, self.attempt, self.now())])
            await self._send(self._progress(course))
            await self._send(self._beat(course))

    def _due(self, course: _Course) -> float:
        """Most workers are quiet most of the time: a beat that has nothing to look at costs nothing."""
        if course.is_resting() and self.progress_file is None:
            return course.sampled_at + _SAMPLE_EVERY
        return course.due()

    async def _send(self, events: list[Event]) -> None:
        for event in events:
            try:
                self.outbox.send_nowait(Append(event))
            except trio.WouldBlock:
                await self.outbox.send(Append(event))

    def _output(self, course: _Course) -> list[Event]:
        """One record for what each stream has grown by since the last one."""
        events: list[Event] = []
        for stream, fd in course.files.items():
            if self.direct and (lost := course.cut(stream, fd)):
                events.append(self._gap(stream, 0, lost, _CUT, cut=True))
            offset, size = course.covered[stream], os.fstat(fd).st_size
            if size > offset:
                course.covered[stream] = size
                if self.direct:
                    course.anchors[stream] = Anchor.on(fd, size)
                course.grown, course.grown_at, course.looked = stream, trio.current_time(), False
                events.append(
                    WorkerOutput(
                        at=self.now(),
                        worker=self.worker,
                        attempt=self.attempt,
                        stream=stream,
                        offset=offset,
                        length=size - offset,
                    )
                )
        return events

    def _gap(self, stream: Stream, offset: int, lost: int | None, why: str, *, cut: bool = False) -> WorkerGap:
        at, worker, attempt = self.now(), self.worker, self.attempt
        return WorkerGap(
            at=at, worker=worker, attempt=attempt, stream=stream, offset=offset, lost=lost, why=why, cut=cut
        )

    def _progress(self, course: _Course, *, last: bool = False) -> list[Event]:
        """Look at the checkboxes or the end of what was printed, at most five times a second."""
        if not last and (course.looked or trio.current_time() < course.looked_at + _PROGRESS_EVERY):
            return []
        course.looked, course.looked_at = True, trio.current_time()
        found = self._checkboxes()  # named by the plan, so they count more than what was found by chance
        if found is None and course.grown is not None and course.grown != "session":  # which tells it by events
            found = find_progress(course.tail(course.grown), final=last)
        return self._changed(course, found)

    def _changed(self, course: _Course, found: Progress | None) -> list[Event]:
        if found is None or not course.tracker.changed(found):
            return []
        return [
            WorkerProgress(
                at=self.now(),
                worker=self.worker,
                attempt=self.attempt,
                fraction=found.fraction,
                label=found.label,
            )
        ]

    def _checkboxes(self) -> Progress | None:
        if self.progress_file is None:
            return None
        try:
            return read_checkboxes(read_start(self.progress_file).decode(errors="replace"))
        except OSError:
            return None  # the worker has not written it yet

    def _beat(self, course: _Course) -> list[Event]:
        now = trio.current_time()
        if now < course.beat_at:
            return []
        course.beat_at = now + self.heartbeat
        checked = self._changed(course, self._checkboxes())
        quiet_for = now - course.grown_at
        activity: Literal["active", "quiet"] = "active" if quiet_for < self.heartbeat else "quiet"
        if activity == course.sampled and now < course.sampled_at + _SAMPLE_EVERY:
            return checked
        course.sampled, course.sampled_at = activity, now
        return [
            *checked,
            WorkerHeartbeat(
                at=self.now(),
                worker=self.worker,
                attempt=self.attempt,
                activity=activity,
                quiet_for=quiet_for,
                stdout_bytes=course.covered["stdout"],
                stderr_bytes=course.covered["stderr"],
                terminal_bytes=course.covered["terminal"],
                log_bytes=course.covered["log"],
                session_bytes=course.covered["session"],
            ),
        ]

    def _mismatches(self, course: _Course, ended: Ended) -> list[Event]:
        """Bytes the keeper copied = bytes in the spool = bytes that records cover, or it is said."""
        written: dict[Stream, int] = {
            "stdout": ended.stdout_bytes,
            "stderr": ended.stderr_bytes,
            "terminal": ended.terminal_bytes,
            "log": ended.log_bytes,
            "session": ended.session_bytes,
        }
        return [
            WorkerMismatch(
                at=self.now(),
                worker=self.worker,
                attempt=self.attempt,
                stream=stream,
                written=written[stream],
                spooled=os.fstat(fd).st_size,
                recorded=course.covered[stream],
            )
            for stream, fd in course.files.items()
            if not written[stream] == os.fstat(fd).st_size == course.covered[stream]
        ]

    @asynccontextmanager
    async def _followed(self, files: dict[Stream, int]) -> AsyncIterator[None]:
        keys = {f"{self.worker}/{self.attempt}/{stream}": fd for stream, fd in files.items()}
        for key, fd in keys.items():
            await self.follower.send(Follow(key, fd, self.notices))
        try:
            yield
        finally:
            with trio.move_on_after(_UNFOLLOW_DEADLINE, shield=True):
                for key in keys:
                    done = trio.Event()
                    await self.follower.send(Unfollow(key, done))
                    await done.wait()
