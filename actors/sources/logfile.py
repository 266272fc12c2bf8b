"""The source of log files: follows what somebody else writes, beside a command or instead of one."""

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
import trio

from actors.orders import Answer, Ask, AskSpawn, KeeperAsk
from actors.replies import reply
from actors.sources.log_copy import Gap, LogCopy
from actors.sources.log_files import LogFiles
from actors.sources.log_follower import LogFollower
from actors.sources.log_mark import read_mark
from actors.sources.log_trail import Trail
from actors.sources.log_watch import LogWatch, Waker
from protocols.errors import SpawnError
from protocols.ids import AttemptId, WorkerId
from protocols.keeper import Forget, Report, Spawned, Stop
from protocols.layout import FleetFolder
from protocols.plan import Logfile
from protocols.sentinel import Sentinel

__all__ = ["LogfileSource"]

_REPORTS = 16
_CLOSE_DEADLINE = 5.0  # a disk that hangs; usually microseconds


@dataclass(slots=True)
class _State:
    nursery: trio.Nursery
    keeper: trio.MemorySendChannel[KeeperAsk]
    files: LogFiles = field(default_factory=LogFiles)
    watch: LogWatch = field(default_factory=LogWatch)
    limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))
    """All that touches log files is done in one thread at a time."""
    followers: dict[AttemptId, LogFollower] = field(default_factory=dict)
    answers: dict[AttemptId, Answer] = field(default_factory=dict)
    """Of those that were started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogfileSource:
    """Serve the tasks that name a log file; pass all else on to the keeper. Ends when nobody asks any more.

    A command beside the file is the keeper's. What that says of it passes through here: the end is told when the file
    is copied too. However many follow a file, it is open and watched once. The state is in the locals of `run`: this is
    not restarted.
    """

    folder: FleetFolder
    asks: trio.MemoryReceiveChannel[KeeperAsk]
    keeper: trio.MemorySendChannel[KeeperAsk]
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with self.keeper.clone() as keeper, trio.open_nursery() as nursery:
            state = _State(nursery, keeper)
            await nursery.start(state.watch.run)
            task_status.started()
            async for ask in self.asks:
                if isinstance(ask, Ask):
                    await self._pass(ask, state)
                elif ask.order.task.logfile is None:
                    await keeper.send(ask)
                elif ask.request.attempt in state.answers:
                    self._repeat(ask, state)
                else:
                    nursery.start_soon(self._serve, ask, ask.order.task.logfile, state)
            nursery.cancel_scope.cancel(reason="nobody asks for log files any more")

    async def _pass(self, ask: Ask, state: _State) -> None:
        attempt = getattr(ask.request, "attempt", AttemptId(""))
        follower = state.followers.get(attempt)
        if isinstance(ask.request, Forget):
            state.answers.pop(attempt, None)
        if follower is not None and isinstance(ask.request, Stop):
            await follower.stop(ask.request)
        if follower is None or follower.keeper is not None:
            await state.keeper.send(ask)
        else:
            reply(ask.answer, Answer())

    def _repeat(self, ask: AskSpawn, state: _State) -> None:
        follower = state.followers.get(ask.request.attempt)
        if follower is not None:
            follower.reports = ask.reports
        reply(ask.answer, state.answers[ask.request.attempt])

    async def _serve(self, ask: AskSpawn, log: Logfile, state: _State) -> None:
        spool = os.fspath(self.folder.spool(WorkerId(ask.order.task.id), ask.order.attempt, "log"))
        copy = LogCopy(Trail(log.path, state.files), spool, Sentinel(log.until))
        waker = Waker(log.path)
        try:
            state.watch.watch_name(waker)  # before the first look
            begin = partial(_begin, copy, commanded=bool(ask.order.task.command), resume=ask.request.resume)
            gaps = await trio.to_thread.run_sync(begin, limiter=state.limiter)
            await self._follow(ask, log, state, copy, waker, gaps)
        except SpawnError as error:
            reply(ask.answer, Answer(error=error))
        finally:
            state.watch.forget(waker)
            with trio.move_on_after(_CLOSE_DEADLINE, shield=True):  # others may be opening the same file just now
                await trio.to_thread.run_sync(copy.close, limiter=state.limiter)

    async def _follow(
        self, ask: AskSpawn, log: Logfile, state: _State, copy: LogCopy, waker: Waker, gaps: list[Gap]
    ) -> None:
        send, relayed = trio.open_memory_channel[Report](_REPORTS)
        attempt, commanded = ask.request.attempt, bool(ask.order.task.command)
        with send, relayed:
            answer = await self._start(ask, state, send) if commanded else self._stand_in()
            follower = LogFollower(
                request=ask.request,
                log=log,
                copy=copy,
                watch=state.watch,
                waker=waker,
                limiter=state.limiter,
                reports=ask.reports,
                keeper=state.keeper if commanded else None,
                now=self.now,
                began_at=trio.current_time() - self._age(ask),
            )
            if answer.error is not None:
                if ask.request.resume:  # what it wrote until its end is there all the same
                    await follower.catch_up(gaps)
                reply(ask.answer, answer)
                return
            state.followers[attempt], state.answers[attempt] = follower, answer
            try:
                reply(ask.answer, answer)
                await follower.run(gaps, relayed if commanded else None)
            finally:
                del state.followers[attempt]

    def _age(self, ask: AskSpawn) -> float:
        """Seconds since the start of an attempt that is taken up."""
        started = None if ask.order.open is None else ask.order.open.started
        return 0.0 if started is None else max(self.now() - started.at, 0.0)

    async def _start(self, ask: AskSpawn, state: _State, reports: trio.MemorySendChannel[Report]) -> Answer:
        """By the keeper."""
        send, receive = trio.open_memory_channel[Answer](1)
        with send, receive:
            await state.keeper.send(AskSpawn(ask.request, send, reports, ask.order))
            return await receive.receive()

    def _stand_in(self) -> Answer:
        """Nothing is started: there is only the file."""
        return Answer(msgspec.json.encode(Spawned(pid=0, start_ticks=0, at=self.now())))


def _begin(copy: LogCopy, *, commanded: bool, resume: bool) -> list[Gap]:
    """In the thread. Raise SpawnError."""
    if resume and not commanded and read_mark(copy.spool) is None and not os.path.exists(copy.spool):  # noqa: PTH110
        raise SpawnError(f"{copy.spool}: nothing was followed for this attempt", "unknown-attempt")
    try:
        if resume:
            return copy.resume()
        copy.begin(behind=commanded)
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "")
        raise SpawnError(f"{copy.spool}: {error.strerror}; make room on the disk", code) from error
    return []
