"""Brings the records of an instance up: from its socket while it answers there, else from its journal."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec
import trio

from actors.journal_file import read_records
from actors.messages import Append
from actors.unix_socket import connect_unix
from protocols.control import FollowParams, FollowResult
from protocols.errors import JournalError
from protocols.event_codec import decode_record
from protocols.events import Record, RunEnded
from protocols.ids import TaskId
from protocols.instance_records import wrap
from protocols.jsonrpc import Request, Response
from protocols.layout import FleetFolder
from protocols.states import InstanceLink

__all__ = ["Link"]

logger = logging.getLogger(__name__)

_ANSWER = 5.0  # seconds; one that says nothing for so long is stopped or starved
_LONGER = 10  # times the first pause is the longest
_PAGE = 500
_LONGEST = 16 * 1024 * 1024
_RECEIVE = 64 * 1024


class _Told(msgspec.Struct, frozen=True):
    """A notification of the method ``record``."""

    params: msgspec.Raw


@dataclass(slots=True, kw_only=True)
class Link:
    """One instance. Each of its records reaches the journal once, in the order of its numbers."""

    task: TaskId
    folder: FleetFolder
    """Of its run."""
    intake: InstanceLink
    """How far its records have come up."""
    outbox: trio.MemorySendChannel[Append]
    limiter: trio.CapacityLimiter
    pause: float = 0.2
    """Seconds between two looks at one that does not answer; they grow."""
    end: RunEnded | None = None
    """How its run ended, once that has come."""

    async def run(self) -> None:
        """Until it is cancelled. A connection that breaks is made again, from the last number on."""
        pause = self.pause
        while True:
            before = self.intake.last
            try:
                await self._follow_socket()
            except (OSError, trio.BrokenResourceError, trio.TooSlowError, ValueError) as error:
                logger.info("%s: its socket: %s", self.task, error)
            await self.catch_up()
            pause = self.pause if self.intake.last > before else min(pause * 2, self.pause * _LONGER)
            await trio.sleep(pause)

    async def catch_up(self) -> None:
        """Take what its journal holds by now. Of one that is gone this is all that it told; `run` has ended then."""
        while True:
            before = self.intake.last
            try:
                page = await trio.to_thread.run_sync(self._read_page, limiter=self.limiter)
            except JournalError as error:  # it has not begun, or cannot be read now
                logger.info("%s: %s", self.task, error)
                return
            await self._take(page)
            if self.intake.last == before:
                return

    async def _follow_socket(self) -> None:
        """Until it closes the connection. Raise ValueError for what is no record."""
        connect = partial(connect_unix, self.folder.control_socket)
        connection = await trio.to_thread.run_sync(connect, limiter=self.limiter)
        connection.setblocking(False)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(connection)) as stream:
            params = msgspec.Raw(msgspec.json.encode(FollowParams(after=self.intake.last)))
            request = Request(jsonrpc="2.0", method="follow", params=params, id=1)
            async with aclosing(_lines(stream)) as lines:
                with trio.fail_after(_ANSWER):
                    await stream.send_all(msgspec.json.encode(request) + b"\n")
                    answer = msgspec.json.decode(await anext(lines, b"{}"), type=Response)
                msgspec.json.decode(answer.result or b"", type=FollowResult)
                async for line in lines:
                    await self._take([decode_record(msgspec.json.decode(line, type=_Told).params)])

    def _read_page(self) -> list[Record]:
        return list(islice(read_records(self.folder.journal, self.intake.last), _PAGE))

    async def _take(self, records: list[Record]) -> None:
        for record in records:
            if self.intake.expects(record):
                # Only what is on its way counts as taken: whoever is cancelled here takes it again.
                await self.outbox.send(Append(wrap(self.task, record)))
                self.intake.last = record.seq
                self.end = record.event if isinstance(record.event, RunEnded) else self.end


async def _lines(stream: trio.SocketStream) -> AsyncGenerator[bytes, None]:
    buffer = bytearray()
    async for data in stream:
        buffer += data
        *whole, rest = buffer.split(b"\n")
        buffer = bytearray(rest)
        for line in whole:
            yield bytes(line)
        if len(buffer) > _LONGEST:
            raise ValueError(f"a record of more than {_LONGEST} bytes")
