"""Tell the streamers that their spool files grew: at once after quiet, on common ticks while output pours.

A quiet file has a one-shot inotify watch. Its first growth is told at once; from then on the file is looked at on each
tick, without inotify, until it stopped growing and is watched again. So the cost depends neither on how often the
workers write nor, but for one system call a second each, on how many are quiet.
"""

import logging
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import assert_never

import trio

from actors.inotify import IN_MODIFY, IN_ONESHOT, IN_Q_OVERFLOW, Change, Inotify
from actors.messages import Follow, FollowRequest, Grown, Unfollow
from protocols.errors import WatchError

__all__ = ["Follower"]

logger = logging.getLogger(__name__)

_ROUNDING = 1e-6  # of a tick: a deadline divided by the interval may be a hair below the whole number


@dataclass(slots=True)
class _Stream:
    follow: Follow
    every: int
    """Ticks between two notices."""
    phase: int
    """Which ticks: slow streams share them out, so that not all of them are due in the same."""
    size: int = 0
    """As told last."""
    watch: int | None = None
    due: int = 0
    """The next tick that looks at it, while it is growing."""


class _Rounds:
    """Who is watched, who is growing, and when to look again. Nothing here waits."""

    def __init__(self, streams: dict[str, _Stream], inotify: Inotify | None, interval: float) -> None:
        self.alarm = trio.CancelScope()
        self._streams = streams
        self._inotify = inotify
        self._interval = interval
        self._watched: dict[int, list[_Stream]] = {}  # two streams may be one file
        self._growing: dict[str, _Stream] = {}
        self._limit_told = False

    def start(self) -> None:
        """Take over what an earlier run followed."""
        for stream in list(self._streams.values()):
            stream.watch = None
            self._look(stream)

    def follow(self, request: Follow) -> None:
        self.forget(request.key)
        every = max(1, math.ceil((request.interval or 0) / self._interval - _ROUNDING))
        stream = _Stream(request, every, phase=len(self._streams))
        self._streams[request.key] = stream
        self._look(stream)

    def forget(self, key: str) -> None:
        self._growing.pop(key, None)
        stream = self._streams.pop(key, None)
        if stream is None or stream.watch is None or self._inotify is None:
            return
        sharing = self._watched[stream.watch]
        sharing.remove(stream)
        if not sharing:
            del self._watched[stream.watch]
            self._inotify.unwatch(stream.watch)

    def changed(self, changes: Iterable[Change]) -> None:
        """Tell growth at once. The next tick watches again, so writes alone never make a second notice."""
        for change in changes:
            lost = change.mask & IN_Q_OVERFLOW
            watches = list(self._watched) if lost else [change.watch]
            for stream in [stream for watch in watches for stream in self._watched.pop(watch, [])]:
                stream.watch = None
                if self._told(stream) is not None:
                    self._grow(stream)

    def tick(self) -> None:
        now = self._tick_now()
        for stream in [stream for stream in self._growing.values() if stream.due <= now]:
            self._look(stream)

    def poll(self) -> None:
        for key, stream in list(self._streams.items()):
            if key in self._growing:
                continue
            if stream.watch is None:
                self._look(stream)
            elif self._told(stream):
                self._grow(stream)

    def next_tick(self) -> float:
        return min((stream.due for stream in self._growing.values()), default=math.inf) * self._interval

    def _look(self, stream: _Stream) -> None:
        """Tell growth; when there is none, watch first and look once more, so that none falls between."""
        grown = self._told(stream)
        if grown is False and self._watch(stream):
            grown = self._told(stream)
        if grown:
            self._grow(stream)
        else:
            self._growing.pop(stream.follow.key, None)

    def _grow(self, stream: _Stream) -> None:
        tick = self._tick_now() + 1
        stream.due = tick + (stream.phase - tick) % stream.every
        self._growing[stream.follow.key] = stream
        self.alarm.deadline = min(self.alarm.deadline, stream.due * self._interval)

    def _tick_now(self) -> int:
        return math.floor(trio.current_time() / self._interval + _ROUNDING)

    def _told(self, stream: _Stream) -> bool | None:
        """Whether the size changed, which is then told. None: its owner is gone, and it is forgotten."""
        follow = stream.follow
        try:
            size = os.fstat(follow.fd).st_size
            if size == stream.size:
                return False
            stream.size = size
            follow.grown.send_nowait(Grown(follow.key))
        except trio.WouldBlock:
            return True  # a notice is pending
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self.forget(follow.key)
            return None
        return True

    def _watch(self, stream: _Stream) -> bool:
        if self._inotify is None or stream.watch is not None:
            return stream.watch is not None
        try:
            stream.watch = self._inotify.watch(stream.follow.fd, IN_MODIFY | IN_ONESHOT)
        except WatchError as exc:
            if not self._limit_told:
                logger.warning("%s; until then output is seen late", exc)
                self._limit_told = True
            return False
        self._watched.setdefault(stream.watch, []).append(stream)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """Follow the files that ``requests`` name.

    A stream whose descriptor or channel was closed by its owner is forgotten. What is followed survives a restart.
    Where inotify's limits are reached, the files it cannot watch are looked at every ``poll_interval`` seconds, and
    this is logged; all files are, in case that a file system tells nothing.
    """

    requests: trio.MemoryReceiveChannel[FollowRequest]
    flush_interval: float = 0.05
    poll_interval: float = 1.0
    _streams: dict[str, _Stream] = field(init=False, repr=False, default_factory=dict)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Return when nobody is left who could send a request."""
        with _open_inotify() as inotify:
            rounds = _Rounds(self._streams, inotify, self.flush_interval)
            rounds.start()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tick, rounds)
                if inotify is not None:
                    nursery.start_soon(_watch, rounds, inotify)
                task_status.started()
                async for request in self.requests:
                    match request:
                        case Follow():
                            rounds.follow(request)
                        case Unfollow():
                            rounds.forget(request.key)
                            request.done.set()
                        case _:
                            assert_never(request)
                nursery.cancel_scope.cancel(reason="no request can come any more")

    async def _tick(self, rounds: _Rounds) -> None:
        poll_at = trio.current_time() + self.poll_interval
        while True:
            with trio.move_on_at(min(rounds.next_tick(), poll_at)) as rounds.alarm:
                await trio.sleep_forever()
            rounds.tick()
            if trio.current_time() >= poll_at:
                rounds.poll()
                poll_at = trio.current_time() + self.poll_interval


@contextmanager
def _open_inotify() -> Iterator[Inotify | None]:
    try:
        inotify = Inotify()
    except WatchError as exc:
        logger.warning("%s; until then output is seen late", exc)
        yield None
        return
    try:
        yield inotify
    finally:
        inotify.close()


async def _watch(rounds: _Rounds, inotify: Inotify) -> None:
    while True:
        await trio.lowlevel.wait_readable(inotify.fileno())
        rounds.changed(inotify.read())
