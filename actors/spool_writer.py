"""Append to one spool file from here, where no keeper copies: the bytes pass through our memory."""

import os
from dataclasses import dataclass

import trio

from protocols.ids import AttemptId
from protocols.keeper import Blocked, Report, Resumed
from protocols.kinds import Stream

__all__ = ["SpoolWriter"]


@dataclass(slots=True, kw_only=True)
class SpoolWriter:
    """The end of one file that nobody else writes to. ``reports`` is told when the disk takes no more."""

    attempt: AttemptId
    stream: Stream
    fd: int
    reports: trio.MemorySendChannel[Report]
    limiter: trio.CapacityLimiter
    """For the threads that write: a slow disk delays nobody but the worker."""
    retry: float = 1.0
    size: int = 0
    """Bytes in the file."""
    blocked: bool = False
    """The disk takes no more; it is tried again and again."""

    def __post_init__(self) -> None:
        self.size = os.fstat(self.fd).st_size

    async def write(self, data: bytes) -> None:
        """Return when all of it is in the file. A cancellation may leave a part of it there, and a thread behind."""
        rest = memoryview(data)
        while rest:
            try:
                count = await trio.to_thread.run_sync(
                    os.write, self.fd, rest, limiter=self.limiter, abandon_on_cancel=True
                )
            except OSError as error:
                await self._wait(error)
                continue
            self.size += count
            rest = rest[count:]
            if self.blocked:
                self.blocked = False
                await self.reports.send(Resumed(attempt=self.attempt, stream=self.stream))

    async def _wait(self, error: OSError) -> None:
        if not self.blocked:
            self.blocked = True
            why = error.strerror or str(error)
            await self.reports.send(Blocked(attempt=self.attempt, stream=self.stream, error=why))
        await trio.sleep(self.retry)
