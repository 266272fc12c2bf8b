"""Shows a run as lines of text or as JSON records. However slow its reader is, it slows nothing but itself."""

import errno
import os
import select
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import get_args

import trio

from actors.batches import receive_batch
from actors.messages import Said, Subscribe
from actors.subscription import follow_records
from protocols.event_codec import encode_record
from protocols.events import Record, WorkerExited, WorkerGap, WorkerOutput
from protocols.ids import WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder
from protocols.lines import Line, LineSplitter, printable
from protocols.plain import PlainLines
from protocols.redaction import Redaction, Redactor

__all__ = ["Display", "JsonText", "LiveText", "PlainText", "write_all"]

_CHUNK = 256 * 1024
_CHUNKS = 16
_RETRY_AFTER = 1.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})  # a closed pipe, a terminal that hung up


class JsonText:
    """Each record as one line of JSON."""

    def skip(self, record: Record) -> None:
        """Take notice of what is not to be shown."""

    async def show(self, record: Record, outbox: trio.MemorySendChannel[bytes]) -> None:
        await outbox.send(encode_record(record) + b"\n")


@dataclass(slots=True)
class PlainText:
    """One line for each change of state and, where asked for, the workers' lines behind their task's name."""

    folder: FleetFolder
    show_output: bool = False
    max_line: int = 2048
    leaves: bool = False
    """As for `LiveText`."""
    redactor: Redactor = field(default_factory=Redactor)
    """Of what workers print."""
    _lines: PlainLines = field(init=False)
    _redactions: dict[tuple[WorkerId, int, Stream], Redaction] = field(default_factory=dict)
    _splitters: dict[tuple[WorkerId, int, Stream], LineSplitter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lines = PlainLines(leaves=self.leaves)

    def skip(self, record: Record) -> None:
        """Take notice of what is not to be shown."""
        self._lines.feed(record)

    async def show(self, record: Record, outbox: trio.MemorySendChannel[bytes]) -> None:
        match record.event:
            case WorkerOutput() as output if self.show_output:
                await self._show_output(output, outbox)
            case WorkerGap() as gap if self.show_output:
                await outbox.send(self._broken_off(gap))
            case WorkerExited() as exited if self.show_output:
                await outbox.send(self._rest(exited))
        for line in self._lines.feed(record):
            await outbox.send(line.encode() + b"\n")

    async def _show_output(self, output: WorkerOutput, outbox: trio.MemorySendChannel[bytes]) -> None:
        key = (output.worker, output.attempt, output.stream)
        splitter = self._splitters.setdefault(key, LineSplitter(self.max_line))
        path = self.folder.spool(*key)
        end = output.offset + output.length
        for offset in range(output.offset, end, _CHUNK):
            data = await trio.to_thread.run_sync(_read, os.fspath(path), offset, min(_CHUNK, end - offset))
            await outbox.send(_prefixed(output.worker, splitter.feed(self._redact(key, data))))

    def _redact(self, key: tuple[WorkerId, int, Stream], data: bytes) -> bytes:
        if not self.redactor.patterns:
            return data
        return self._redactions.setdefault(key, Redaction(self.redactor)).feed(data)

    def _finish(self, key: tuple[WorkerId, int, Stream]) -> list[Line]:
        """What was held back, once nothing continues it."""
        splitter, redaction = self._splitters.pop(key, None), self._redactions.pop(key, None)
        if splitter is None:
            return []
        return [*splitter.feed(b"" if redaction is None else redaction.finish()), *splitter.finish()]

    def _broken_off(self, gap: WorkerGap) -> bytes:
        """What comes next does not continue the line that came last."""
        return _prefixed(gap.worker, self._finish((gap.worker, gap.attempt, gap.stream)))

    def _rest(self, exited: WorkerExited) -> bytes:
        streams: tuple[Stream, ...] = get_args(Stream)
        keys = [(exited.worker, exited.attempt, stream) for stream in streams]
        return b"".join(_prefixed(exited.worker, self._finish(key)) for key in keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveText:
    """A picture of the run as it goes; `actors.live.screen` draws it."""

    colour: bool = True
    ascii_only: bool = False
    leaves: bool = False
    """Ctrl-C ends the looking, not the run."""
    redactor: Redactor = field(default_factory=Redactor)
    """Of what workers print."""
    said: trio.MemoryReceiveChannel[Said] | None = None
    """What no record tells. Closed when the picture is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """Write a run's records to a descriptor as some text. Returns when all is written, or nobody reads any more."""

    text: JsonText | PlainText
    folder: FleetFolder
    subscribe: trio.MemorySendChannel[Subscribe]
    fd: int
    after: int = 0
    """Only the records behind this number are shown."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        outbox, inbox = trio.open_memory_channel[bytes](_CHUNKS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, inbox, nursery.cancel_scope)
            task_status.started()
            async with outbox, aclosing(follow_records(self.folder.journal, self.subscribe)) as records:
                async for record in records:
                    if record.seq > self.after:
                        await self.text.show(record, outbox)
                    else:
                        self.text.skip(record)

    async def _write(self, inbox: trio.MemoryReceiveChannel[bytes], scope: trio.CancelScope) -> None:
        limiter = trio.CapacityLimiter(1)
        async with inbox:
            while batch := await receive_batch(inbox, _CHUNKS):
                data = b"".join(batch)
                # A reader that stopped would hold us for ever: then the thread is left behind.
                reads = await trio.to_thread.run_sync(write_all, self.fd, data, limiter=limiter, abandon_on_cancel=True)
                if not reads:
                    scope.cancel(reason="nobody reads any more")


def write_all(fd: int, data: bytes, *, wait: bool = True) -> bool:
    """Write in whatever mode the descriptor is; False when its reader is gone.

    Where it is a file on a full disk, try each second, or give up if ``wait`` is False.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            select.select([], [fd], [])
        except OSError as error:
            if wait and error.errno in _FULL:
                time.sleep(_RETRY_AFTER)
            elif error.errno in _GONE | _FULL:
                return False
            else:
                raise
    return True


def _read(path: str, offset: int, length: int) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - a hot path
        return os.pread(file.fileno(), length, offset)


def _prefixed(worker: WorkerId, lines: list[Line]) -> bytes:
    return b"".join(f"{worker} | {printable(line.text)}\n".encode() for line in lines)
