"""Looks at all workers at once, in a thread: at their processes, and at the end of what they printed."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from actors.keeper_process.procfs import read_process
from actors.screens import Screens, can_read_screens
from actors.vitals import Root, Sampler, Vitals
from protocols.fan_out import planned
from protocols.ids import WorkerId
from protocols.layout import FleetFolder, streams_of
from protocols.markers import Markers, find_mark
from protocols.progress import TAIL
from protocols.prompts import find_prompt
from protocols.questions import find_question
from protocols.repetition import fingerprint, shows_more
from protocols.sight import Glimpse, Sight, Tail, Wanted

__all__ = ["Inspector"]

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
_STOPPED = "Tt"
_NONE = Markers()
_MOST = 64 * 1024  # bytes of new output; who prints more of it between two looks does not only turn a spinner


@dataclass(slots=True)
class Inspector:
    """The eyes on one fleet. To be closed; one look at a time."""

    folder: FleetFolder
    markers: Mapping[WorkerId, Markers]
    """What to look for in the output of each worker."""
    read_screens: bool = field(default_factory=can_read_screens)
    """Of those that have a terminal; else the end of their output is looked at as that of all others."""
    _screens: Screens[WorkerId] = field(default_factory=Screens, init=False)
    _sampler: Sampler[WorkerId] = field(default_factory=Sampler, init=False)
    _folders: dict[WorkerId, tuple[int, str]] = field(default_factory=dict, init=False)
    """Of the attempt that was looked at last: to put a path together costs more than to look there."""
    _shown: dict[WorkerId, tuple[int, bytes | None]] = field(default_factory=dict, init=False)
    """The attempt, and what the end of its output showed last."""
    _limiter: trio.CapacityLimiter = field(default_factory=partial(trio.CapacityLimiter, 1), init=False)

    async def look(self, wanted: Sequence[Wanted], keeper: int | None) -> tuple[list[Sight], bool]:
        """What is seen of each, in the same order; and whether the keeper reads their output, as far as can be seen.

        A disk that hangs makes it wait. A cancellation leaves the thread behind.
        """
        return await trio.to_thread.run_sync(self._look, wanted, keeper, limiter=self._limiter, abandon_on_cancel=True)

    def close(self) -> None:
        self._sampler.close()

    def _look(self, wanted: Sequence[Wanted], keeper: int | None) -> tuple[list[Sight], bool]:
        """In the thread."""
        vitals = self._sampler.sweep({each.worker: Root(*each.process) for each in wanted if each.process is not None})
        glimpses = self._glimpses(wanted)
        sights = [self._sight(each, vitals.get(each.worker), glimpses.get(each.worker)) for each in wanted]
        process = None if keeper is None else read_process(keeper)
        return sights, process is None or process.state not in _STOPPED

    def _glimpses(self, wanted: Sequence[Wanted]) -> dict[WorkerId, Glimpse]:
        """Of those whose screens were read in the time that there is for that."""
        terminals = {each.worker: each for each in wanted if each.window is not None} if self.read_screens else {}
        self._screens.begin()
        looks = ((worker, self._glimpse(terminals[worker])) for worker in self._screens.in_turn(terminals))
        return {worker: glimpse for worker, glimpse in looks if glimpse is not None}

    def _glimpse(self, wanted: Wanted) -> Glimpse | None:
        (stream,), markers = streams_of(wanted.source), self.markers.get(WorkerId(planned(wanted.worker)), _NONE)
        if wanted.window is None:
            return None
        view = self._screens.look(wanted.worker, wanted.attempt, f"{self._folder(wanted)}/{stream}", wanted.window)
        if view is None:
            return None
        mark = find_mark(view.shown.text.encode("utf-8", "replace"), markers)
        return Glimpse(mark, find_prompt(view.shown, markers.prompts), view.settled, view.grown, view.new)

    def _sight(self, wanted: Wanted, vitals: Vitals | None, glimpse: Glimpse | None) -> Sight:
        folder = self._folder(wanted)
        streams = streams_of(wanted.source, log=wanted.source == "logfile")
        spooled = sum(_size(f"{folder}/{stream}") for stream in streams)
        sight = Sight(spooled=spooled, glimpse=glimpse)
        if wanted.tail is not None and glimpse is None:
            sight = self._read(wanted, wanted.tail, folder, spooled)
        if vitals is None:
            return sight
        return sight._replace(
            alive=vitals.alive,
            cpu=vitals.cpu,
            partial=vitals.partial,
            descendants=vitals.descendants,
            zombies=vitals.zombies,
        )

    def _read(self, wanted: Wanted, tail: Tail, folder: str, spooled: int) -> Sight:
        """What its output shows."""
        few = tail.end - tail.since <= _MOST
        start = max((tail.since if few else tail.end) - TAIL, 0)
        text = _read(f"{folder}/{tail.stream}", start, tail.end - start)
        shown = fingerprint(text, cut=start > 0) if few else None
        attempt, before = self._shown.get(wanted.worker, (0, None))
        self._shown[wanted.worker] = (wanted.attempt, shown)
        markers = self.markers.get(WorkerId(planned(wanted.worker)), _NONE)
        return Sight(
            spooled=spooled,
            mark=find_mark(text, markers),
            asks=find_question(text),
            new=not tail.alone or attempt != wanted.attempt or shows_more(shown, before),
        )

    def _folder(self, wanted: Wanted) -> str:
        attempt, folder = self._folders.get(wanted.worker, (0, ""))
        if attempt != wanted.attempt:
            folder = os.fspath(self.folder.attempt(wanted.worker, wanted.attempt))
            self._folders[wanted.worker] = (wanted.attempt, folder)
        return folder


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - hot
    except OSError:
        return 0


def _read(path: str, start: int, length: int) -> bytes:
    """Bytes of a regular file; none where it cannot be read."""
    try:
        fd = os.open(path, _FLAGS)
    except OSError:
        return b""
    try:
        return os.pread(fd, length, start) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(fd)
