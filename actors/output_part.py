"""A range of the bytes that a worker wrote, of whichever instance, without the secrets that may be in them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from protocols.ids import WorkerId
from protocols.kinds import Stream
from protocols.layout import FleetFolder, streams_of
from protocols.port_params import OutputParams
from protocols.port_results import Output
from protocols.port_view import UnknownNameError, find_leaf, folder_of
from protocols.redaction import Redactor
from protocols.states import RunView
from protocols.wording import quote

__all__ = ["OutputFile", "find_output_file", "read_masked", "read_output"]


@dataclass(frozen=True, slots=True)
class OutputFile:
    """Where a stream of an attempt lies on disk."""

    path: Path
    folder: FleetFolder
    """Of the run to which it belongs."""
    attempt: int
    stream: Stream
    ended: bool
    """No more bytes come."""


def find_output_file(view: RunView, root: FleetFolder, params: OutputParams) -> OutputFile:
    """``root``: the folder of the fleet. Raise `UnknownNameError`."""
    leaf = find_leaf(view, params.task)
    task = leaf.task
    number = params.attempt or len(task.attempts)
    attempt = task.attempt(number)
    if attempt is None:
        last = len(task.attempts)
        what = f"it has no attempt {number}; the last is {last}" if last else f"it did not start: {task.status}"
        raise UnknownNameError(f"task {quote(params.task)}: {what}")
    streams = streams_of(attempt.source, log=bool(attempt.log), command=bool(attempt.argv))
    stream = params.stream or streams[0]
    if stream not in streams:
        raise UnknownNameError(f"task {quote(params.task)}: it has no {stream}; it has {', '.join(streams)}")
    folder = folder_of(root, leaf)
    path = folder.spool(WorkerId(task.id), number, stream)
    return OutputFile(path, folder, number, stream, attempt.exited is not None)


async def read_output(
    view: RunView, root: FleetFolder, params: OutputParams, redactor_of: Callable[[FleetFolder], Redactor]
) -> Output:
    """The bytes that there are of what is asked for. Raise `UnknownNameError`, or OSError."""
    file = find_output_file(view, root, params)
    start, data, size = await trio.to_thread.run_sync(_read, file, params, redactor_of)
    return Output(
        task=params.task,
        attempt=file.attempt,
        stream=file.stream,
        start=start,
        data=data,
        size=size,
        ended=file.ended,
    )


def _read(
    file: OutputFile, params: OutputParams, redactor_of: Callable[[FleetFolder], Redactor]
) -> tuple[int, bytes, int]:
    try:
        fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return max(params.start, 0), b"", 0
    try:
        size = os.fstat(fd).st_size
        start = params.start if params.start >= 0 else max(size + params.start, 0)
        if start >= size:  # further than the kernel counts, perhaps
            return start, b"", size
        return start, read_masked(fd, start, params.length, redactor_of(file.folder)), size
    finally:
        os.close(fd)


def read_masked(fd: int, start: int, length: int, redactor: Redactor) -> bytes:
    """Up to ``length`` bytes of a file from ``start`` on, with stars in place of secrets. Raise OSError."""
    begin = max(start - redactor.longest, 0)  # with the secrets that begin before it, or end behind it
    data = redactor.mask(_read_all(fd, begin, start - begin + length + redactor.longest))
    return data[start - begin :][:length]


def _read_all(fd: int, start: int, length: int) -> bytes:
    parts = []
    while length > 0 and (part := os.pread(fd, length, start)):
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return b"".join(parts)
