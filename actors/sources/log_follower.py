"""Follows the log file of one attempt to its end, and says what becomes of it."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec
import trio

from actors.orders import Ask, KeeperAsk
from actors.sources.log_copy import Gap, LogCopy, Step
from actors.sources.log_watch import LogWatch, Waker
from protocols.durations import format_duration
from protocols.keeper import Blocked, Ended, Exited, Missed, Report, Resumed, Spawn, Stop, Stopping
from protocols.kinds import EndReason
from protocols.plan import Logfile
from protocols.wording import quote

__all__ = ["LogFollower"]

logger = logging.getLogger(__name__)

_LOOK_EVERY = 1.0  # where no notice comes
_PAUSE = 0.02  # while the file grows: then a notice for each write would cost more than the copying
_RETRY = 1.0  # while the disk is full


@dataclass(slots=True, kw_only=True)
class LogFollower:
    """``keeper`` takes what is to be said of the command; None: there is none, and the file is all there is."""

    request: Spawn
    log: Logfile
    copy: LogCopy
    watch: LogWatch
    waker: Waker
    limiter: trio.CapacityLimiter
    reports: trio.MemorySendChannel[Report]
    keeper: trio.MemorySendChannel[KeeperAsk] | None
    now: Callable[[], float]
    began_at: float
    """On trio's clock."""
    ended: Ended | None = None
    """What the keeper says last of the command."""
    _reason: EndReason | None = None
    """Why it ends; of a command, why we ended it."""
    _error: str = ""
    _stopped: bool = False
    """By somebody else."""
    _urgent: trio.Event = field(default_factory=trio.Event)
    _found_at: float = math.inf
    _blocked: bool = False
    _unread: bool = False
    """Nobody wants the reports any more."""

    async def run(self, gaps: list[Gap], relayed: trio.MemoryReceiveChannel[Report] | None) -> None:
        """Return when the end was told. ``gaps`` are known already; ``relayed``: what the keeper says."""
        async with trio.open_nursery() as nursery:
            if relayed is not None:
                nursery.start_soon(self._relay, relayed)
            await self._tell_gaps(gaps)
            await self._follow()
            await self._finish()
            await self._conclude()
            nursery.cancel_scope.cancel(reason="it has ended")

    async def catch_up(self, gaps: list[Gap]) -> None:
        """Copy what is there, of one that has ended before somebody could follow it again."""
        self._stopped = True
        await self._tell_gaps(gaps)
        await self._finish()

    async def stop(self, stop: Stop) -> None:
        """It may be said again."""
        first, self._stopped = not self._stopped, True
        if self.keeper is None and first and self._reason is None:
            self._reason, self._error = stop.reason, stop.detail
            await self._tell(Stopping(attempt=self.request.attempt, reason=stop.reason, grace=0.0))
            self._hurry()

    async def _relay(self, relayed: trio.MemoryReceiveChannel[Report]) -> None:
        async for report in relayed:
            if isinstance(report, Ended):
                self.ended = report
                return self._hurry()
            if isinstance(report, Stopping) and report.reason != self._reason:
                self._stopped = True
            await self._tell(report)
        return None

    async def _follow(self) -> None:
        while True:
            armed = self._arm()
            step = await self._step()
            await self._decide()
            if self._unread or self.ended is not None or (self.keeper is None and self._reason is not None):
                return
            if step.moved and not step.more:
                with trio.move_on_after(_PAUSE):  # what is written meanwhile is copied together
                    await self._urgent.wait()
            elif not step.more and armed is self.copy.trail.current:
                await self.waker.wait(self._patience())

    def _arm(self) -> object:
        """Ask for a notice of what is written from now on; return of which file."""
        self.watch.watch_name(self.waker)
        current = self.copy.trail.current
        if current is not None:
            self.watch.watch_file(current.fd, self.waker)
        return current

    async def _step(self, *, last: bool = False) -> Step:
        work = partial(self.copy.step, self.waker.appeared, trio.current_time(), last=last)
        step = await trio.to_thread.run_sync(work, limiter=self.limiter)
        await self._tell_gaps(step.gaps)
        if step.blocked and not self._blocked:
            await self._tell(Blocked(attempt=self.request.attempt, stream="log", error=step.blocked))
        elif self._blocked and not step.blocked:
            await self._tell(Resumed(attempt=self.request.attempt, stream="log"))
        self._blocked = bool(step.blocked)
        return step

    async def _decide(self) -> None:
        """Begin the end where it is time for it."""
        if self._reason is not None or self._stopped:
            return
        now, trail = trio.current_time(), self.copy.trail
        if self.copy.found:
            self._found_at = min(self._found_at, now)
            if self.keeper is None or now >= self._found_at + self.request.linger:
                await self._end("sentinel")
        elif not self.copy.seen and (trail.unusable or now >= self.began_at + self.log.appear_within):
            patience = format_duration(self.log.appear_within)
            absent = f"logfile {quote(self.log.path)}: it did not appear within {patience}; "
            await self._end("no-log", trail.problem or absent + "correct the path, or raise appear_within")
        elif self.keeper is None and now >= self._not_after:
            await self._end("timeout", "it was followed until then")

    async def _end(self, reason: EndReason, error: str = "") -> None:
        self._reason, self._error = reason, error
        if self.keeper is not None:
            stop = Stop(attempt=self.request.attempt, grace=self.request.grace, reason=reason)
            await self.keeper.send(Ask(stop))

    @property
    def _not_after(self) -> float:
        return self.began_at + (math.inf if self.request.timeout is None else self.request.timeout)

    def _patience(self) -> float:
        """Until there is something to do even if nothing happens."""
        moments = [_RETRY if self._blocked else _LOOK_EVERY]
        if self._reason is None and not self._stopped:
            now = trio.current_time()
            moments.append(self._found_at + self.request.linger - now)
            if not self.copy.seen:
                moments.append(self.began_at + self.log.appear_within - now)
            if self.keeper is None:
                moments.append(self._not_after - now)
        return max(min(moments), 0.0)

    async def _finish(self) -> None:
        """Copy what is there now. Who goes on writing is not waited for; a full disk is, unless somebody stops it."""
        step = await self._step(last=True)
        bound, size = self.copy.remaining(), self.copy.size
        while step.blocked or (step.more and self.copy.size < size + bound):
            if step.blocked and (self._stopped or self._unread):
                why = f"the disk was full at the end: {step.blocked}"
                return await self._tell_gaps([Gap(self.copy.size, self.copy.rest(), why)])
            if step.blocked:
                await self.waker.wait(_RETRY)
            step = await self._step(last=True)
        return None

    async def _conclude(self) -> None:
        ended, found = self.ended, self.copy.conclude()
        if ended is None:
            return await self._conclude_alone()
        reason = ended.reason
        if self._found_at < math.inf or (reason == "exit" and found):
            reason = "sentinel"
        if not self.copy.seen and reason == "exit":
            await self._tell_gaps([Gap(0, None, f"there was no {quote(self.log.path)}")])
        detail = self._error if reason == self._reason else ended.detail
        await self._tell(msgspec.structs.replace(ended, reason=reason, detail=detail, log_bytes=self.copy.size))
        return None

    async def _conclude_alone(self) -> None:
        attempt, now = self.request.attempt, self.now()
        reason = self._reason or "stop"
        await self._tell(Exited(attempt=attempt, code=None, signal=None, at=now))
        await self._tell(
            Ended(
                attempt=attempt,
                code=None,
                signal=None,
                exited_at=now,
                at=now,
                reason=reason,
                stdout_bytes=0,
                stderr_bytes=0,
                log_bytes=self.copy.size,
                swept=(),
                detail="it was followed until then" if reason == "stop" else self._error,
            )
        )

    async def _tell_gaps(self, gaps: list[Gap]) -> None:
        for gap in gaps:
            attempt = self.request.attempt
            await self._tell(Missed(attempt=attempt, stream="log", offset=gap.offset, lost=gap.lost, why=gap.why))

    async def _tell(self, report: Report) -> None:
        try:
            await self.reports.send(report)
        except trio.BrokenResourceError:
            if not self._unread:
                logger.warning("nobody waits for reports of attempt %s any more", self.request.attempt)
            self._unread = True
            self._hurry()

    def _hurry(self) -> None:
        self._urgent.set()
        self.waker.wake()
