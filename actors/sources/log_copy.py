"""Copies a log file, and what takes its name after it, to the spool of one attempt, step by step."""

import os
from dataclasses import dataclass, field

from actors.anchor import Anchor
from actors.keeper_process.outfile import is_written
from actors.sources.log_files import LogFile
from actors.sources.log_mark import LogMark, read_mark, write_mark
from actors.sources.log_trail import Trail
from protocols.sentinel import Sentinel
from protocols.wording import quote

__all__ = ["Gap", "LogCopy", "Step"]

_CHUNK = 1024 * 1024
_CHUNKS = 8  # of one step: then others get their turn
_SETTLED = 1.0  # seconds; who writes to a file that was renamed usually opens the new one at once, told by a signal


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes are missing in front of this place in the spool; None: nobody knows how many."""

    offset: int
    lost: int | None
    why: str


@dataclass(slots=True)
class Step:
    """What one step has done."""

    moved: bool = False
    more: bool = False
    """There is more to copy at once."""
    gaps: list[Gap] = field(default_factory=list)
    blocked: str = ""
    """Why the spool takes no more; the step is to be repeated."""


@dataclass(slots=True)
class LogCopy:
    """Belongs to one thread at a time. To be closed."""

    trail: Trail
    spool: str
    """The path of the spool file."""
    sentinel: Sentinel
    seen: bool = False
    """There was a file."""
    found: bool = False
    """The sentinel was."""
    size: int = 0
    """Of the spool."""
    _fd: int = -1
    _anchor: Anchor = field(default_factory=Anchor)
    _start: int = 0
    """Where in the current file the copy began: what is in front of it is of somebody else."""
    _grown_at: float = 0.0
    _closed: bool = False
    """Nobody can write to the current file any more."""
    _told: set[str] = field(default_factory=set)
    """Problems, each of which is told once."""
    _entered: LogFile | None = None

    def begin(self, *, behind: bool) -> None:
        """Look for the file. ``behind``: what it holds now is not wanted. Raise SpawnError for what is no file, and
        ``OSError`` where the spool cannot be written."""
        self._open_spool()
        self.trail.begin()
        file = self.trail.current
        if file is not None:
            self._enter(file, Anchor.on(file.fd, os.fstat(file.fd).st_size) if behind else Anchor())

    def resume(self) -> list[Gap]:
        """Go on where the spool ends. Raise as `begin`."""
        self._open_spool()
        self.size = os.fstat(self._fd).st_size
        self._search_spool()
        self.trail.begin()
        mark, file = read_mark(self.spool), self.trail.current
        self.seen = mark is not None
        if mark is None or file is None:
            why = f"{quote(self.trail.path)} was gone when it was to be followed again"
            return [] if mark is None else [Gap(self.size, None, why)]
        if not mark.is_of(file):
            self._enter(file, Anchor())
            return [Gap(self.size, None, f"{quote(self.trail.path)} was replaced while nobody followed it")]
        kept = min(self.size - mark.spool, 64)
        self._entered, self._start = file, mark.start
        self._anchor = Anchor(mark.place(self.size), os.pread(self._fd, max(kept, 0), self.size - max(kept, 0)))
        return []

    def step(self, appeared: int, now: float, *, last: bool = False) -> Step:
        """Copy what is there. ``last``: then nothing more is wanted. ``appeared``: see `Trail.look`."""
        step = Step()
        self.trail.look(appeared, now)
        try:
            self._tell_trouble(step, last=last)
            for _ in range(_CHUNKS):
                if not self._advance(step, now, last=last):
                    return step
        except _SpoolError as error:
            step.blocked = str(error.strerror)
            return step
        step.more = True
        return step

    def rest(self) -> int | None:
        """How many bytes are there that were not copied; None where that is not known."""
        file = self.trail.current
        if file is None or self.trail.following:
            return None
        return max(os.fstat(file.fd).st_size - self._anchor.at, 0)

    def remaining(self) -> int:
        """How many bytes there are to copy now, or some more."""
        sizes = [os.fstat(each.file.fd).st_size for each in self.trail.following]
        current = 0 if self.trail.current is None else os.fstat(self.trail.current.fd).st_size
        return max(current - self._anchor.at, 0) + sum(sizes)

    def conclude(self) -> bool:
        """Nothing more is copied. Whether the sentinel was found, if maybe as a last line without its end."""
        self.found = self.sentinel.finish() or self.found
        return self.found

    def close(self) -> None:
        self.trail.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _advance(self, step: Step, now: float, *, last: bool) -> bool:
        """Copy a piece, or go on to the next file. False: there is nothing to do now."""
        file = self.trail.current
        if file is None:
            return False
        if self._entered is not file:  # it has just appeared
            self._enter(file, Anchor())
        data = self._read(file, step)
        if data:
            self._write(data)
            step.moved, self._grown_at, self._closed = True, now, False
            return True
        if data is None:  # it was cut, and is to be read from its beginning
            return True
        return bool(self.trail.following) and self._end_of(file, step, now, last=last)

    def _read(self, file: LogFile, step: Step) -> bytes | None:
        """What is next in the file, and surely continues what was read before. None: it does not."""
        try:
            data = os.pread(file.fd, _CHUNK, self._anchor.at)
            if self._anchor.holds(file.fd):  # after the reading: what was cut before or meanwhile shows now
                return data
            start = _first_byte(file.fd, self._anchor.at)
        except OSError as error:
            self._tell(step, f"{quote(self.trail.path)} cannot be read: {error.strerror}")
            return b""
        if self._anchor.at > self._start or not self._start:
            step.gaps.append(Gap(self.size, None, f"{quote(self.trail.path)} was cut"))
        self._enter(file, Anchor(start))
        self.found = self.sentinel.finish() or self.found
        return None

    def _end_of(self, file: LogFile, step: Step, now: float, *, last: bool) -> bool:
        """Go on to the next file, unless somebody may still write to this one."""
        following = self.trail.following[0]
        if not (last or self._closed or now >= max(self._grown_at, following.at) + _SETTLED):
            self._closed = is_written(file.fd) is False
            return self._closed  # read once more: it may have been written right before
        closed = self._closed
        self._enter(following.file, Anchor())
        self.trail.go_on(at_end=closed)
        self.found = self.sentinel.finish() or self.found
        if following.missed:
            step.gaps.append(Gap(self.size, None, _replaced(self.trail.path)))
        return True

    def _tell_trouble(self, step: Step, *, last: bool) -> None:
        late = self.trail.late()
        if late:
            why = f"they were written to {quote(self.trail.path)} after another file had taken its name"
            step.gaps.append(Gap(self.size, late, why))
        self._tell(step, self.trail.problem if self.seen else "")
        if last and self.trail.missed:
            self.trail.missed = False
            step.gaps.append(Gap(self.size, None, _replaced(self.trail.path)))

    def _tell(self, step: Step, problem: str) -> None:
        if problem and problem not in self._told:
            self._told.add(problem)
            step.gaps.append(Gap(self.size, None, problem))

    def _enter(self, file: LogFile, anchor: Anchor) -> None:
        """Read this file from that place on."""
        self._mark(file, anchor.at)
        self._entered, self._anchor, self._start, self._closed, self.seen = file, anchor, anchor.at, False, True

    def _mark(self, file: LogFile, start: int) -> None:
        device, inode = file.identity
        try:
            write_mark(self.spool, LogMark(device, inode, start, self.size))
        except OSError as error:
            raise _SpoolError(error.errno, error.strerror) from error

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                count = os.pwrite(self._fd, rest, self.size)
            except OSError as error:
                raise _SpoolError(error.errno, error.strerror) from error
            written = bytes(rest[:count])
            self.size += count
            self._anchor = self._anchor.behind(written)
            self.found = self.sentinel.feed(written) or self.found
            rest = rest[count:]

    def _open_spool(self) -> None:
        self._fd = os.open(self.spool, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def _search_spool(self) -> None:
        for offset in range(0, self.size, _CHUNK):
            self.found = self.sentinel.feed(os.pread(self._fd, _CHUNK, offset)) or self.found


class _SpoolError(OSError):
    """The spool takes no more."""


def _replaced(path: str) -> str:
    return f"{quote(path)} was replaced more often than it could be looked at"


def _first_byte(fd: int, end: int) -> int:
    """Where a file that was cut begins anew: who goes on to write at the old place leaves a hole in front of it."""
    try:
        start = min(os.lseek(fd, 0, os.SEEK_DATA), end)
    except OSError:  # it is empty
        return 0
    while start < end:
        data = os.pread(fd, min(_CHUNK, end - start), start)
        zeros = len(data) - len(data.lstrip(b"\0"))
        start += zeros
        if not data or zeros < len(data):
            return start
    return start
