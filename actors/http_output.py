"""What a worker wrote, over HTTP: exact bytes by their place, in pieces, without the secrets that may be in them."""

import os
from collections.abc import AsyncIterator, Callable
from functools import partial

import trio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from actors.fleet_reader import FleetReader
from actors.http_calls import peer_of
from actors.output_part import OutputFile, find_output_file, read_masked
from protocols.byte_range import ByteRange, UnsatisfiableError, parse_range
from protocols.http_routes import OutputQuery
from protocols.port_params import OutputParams
from protocols.port_view import UnknownNameError, find_leaf
from protocols.problems import ProblemError
from protocols.query import decode_query
from protocols.redaction import Redactor

__all__ = ["answer_output"]

_PIECE = 256 * 1024
_TEXT = frozenset({"stdout", "stderr", "log"})
"""Streams that are text as a rule; the others hold control sequences of a terminal, or entries of their own."""


async def answer_output(reader: FleetReader, request: Request) -> Response:
    """Raise `ProblemError`. Bytes that come while it is sent are not in it."""
    peer_of(request)
    query = decode_query(request.query_params.multi_items(), OutputQuery, request.path_params)
    params = OutputParams(task=query.task, attempt=query.attempt, stream=query.stream)
    try:
        file = find_output_file(reader.view, reader.folder, params)
    except UnknownNameError as error:
        raise ProblemError(404, str(error), where=f"GET {request.url.path}") from error
    redactor, size = await trio.to_thread.run_sync(_look, file, partial(reader.redactor_of, file.folder))
    tag = _tag(reader, query.task, file, size)
    headers = {"accept-ranges": "bytes", "cache-control": "no-store", "etag": tag, "x-attempt": str(file.attempt)}
    headers["content-type"] = "text/plain; charset=utf-8" if file.stream in _TEXT else "application/octet-stream"
    headers["x-content-type-options"] = "nosniff"
    if file.ended and tag in _tags(request):
        return Response(status_code=304, headers=headers)
    part = _part(request, size, tag)
    status, wanted = (200, ByteRange(0, size)) if part is None else (206, part)
    if part is not None:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    headers["content-length"] = str(wanted.stop - wanted.start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_read(file, wanted, redactor), status, headers)


def _look(file: OutputFile, redactor_of: Callable[[], Redactor]) -> tuple[Redactor, int]:
    """By what secrets are known, and how many bytes are there now. In a thread."""
    try:
        size = file.path.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        size = 0
    return redactor_of(), size


def _tag(reader: FleetReader, task: str, file: OutputFile, size: int) -> str:
    """While it is written bytes are only added: who has some of them goes on by ``If-Range``. Only what has come to
    its end is the same again as a whole. A file that its worker cuts is another one."""
    attempt = find_leaf(reader.view, task).task.attempts[file.attempt - 1]
    cuts = attempt.cuts.get(file.stream, 0)
    return f'"{attempt.id}-{file.stream}-{cuts}-{size if file.ended else "live"}"'


def _tags(request: Request) -> set[str]:
    values = request.headers.getlist("if-none-match")
    return {each.strip().removeprefix("W/") for value in values for each in value.split(",")}


def _part(request: Request, size: int, tag: str) -> ByteRange | None:
    """None: all of it."""
    ranges = request.headers.getlist("range")
    if len(ranges) != 1 or request.headers.get("if-range", tag).strip() != tag:
        return None
    try:
        return parse_range(ranges[0], size)
    except UnsatisfiableError as error:
        raise ProblemError(
            416,
            str(error),
            where="header Range",
            hint="ask for less, or later",
            headers={"content-range": f"bytes */{size}"},
        ) from error


async def _read(file: OutputFile, wanted: ByteRange, redactor: Redactor) -> AsyncIterator[bytes]:
    """Raise BrokenResourceError where its worker has cut it meanwhile: what was promised is not there."""
    if wanted.start == wanted.stop:
        return
    with open(file.path, "rb", buffering=0, opener=_open) as opened:  # noqa: ASYNC230 - a file of ours, on this machine
        for start in range(wanted.start, wanted.stop, _PIECE):
            length = min(_PIECE, wanted.stop - start)
            data = await trio.to_thread.run_sync(read_masked, opened.fileno(), start, length, redactor)
            if len(data) < length:
                raise trio.BrokenResourceError(f"{file.path} was cut while it was sent")
            yield data


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
