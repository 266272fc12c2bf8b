"""Passes a command on to the instance that it is for: over the control socket that every fleet has."""

from pathlib import Path

import msgspec
import trio

from actors.commander import RefusedError
from actors.unix_socket import connect_unix
from protocols.commands import Done, TaskCommand
from protocols.jsonrpc import Failure, Request, Response
from protocols.wording import quote

__all__ = ["pass_on"]

_ANSWER = 120.0  # seconds behind the grace of a stop; what is alive answers in milliseconds
_LONGEST = 1024 * 1024


async def pass_on(path: Path, name: str, command: TaskCommand) -> Done:
    """``path``: of the socket of instance ``name``, ``command`` as that is to get it. Raise `RefusedError`, in its
    words where it refuses."""
    what = f"instance {quote(name)}"
    try:
        connection = connect_unix(path)
    except OSError as error:
        raise RefusedError(f"{what}: it does not listen now ({error.strerror}); try again, or look at it") from error
    connection.setblocking(False)
    request = Request(jsonrpc="2.0", method="command", params=msgspec.Raw(msgspec.json.encode(command)), id=1)
    async with trio.SocketStream(trio.socket.from_stdlib_socket(connection)) as stream:
        with trio.move_on_after(_ANSWER + (getattr(command, "grace", None) or 0.0)) as scope:
            line = await _exchange(stream, msgspec.json.encode(request) + b"\n", what)
        if scope.cancelled_caught:
            raise RefusedError(f"{what}: no answer in time, so nobody knows whether it was done; is it stopped?")
    response = msgspec.json.decode(line, type=Response)
    if isinstance(response.error, Failure):
        raise RefusedError(f"{what}: {response.error.message}")
    return msgspec.json.decode(response.result or b"", type=Done)


async def _exchange(stream: trio.SocketStream, line: bytes, what: str) -> bytes:
    answer = bytearray()
    try:
        await stream.send_all(line)
        while not answer.endswith(b"\n"):
            data = await stream.receive_some()
            if not data or len(answer) > _LONGEST:
                raise trio.BrokenResourceError("in the middle of an answer")
            answer += data
    except trio.BrokenResourceError as error:
        raise RefusedError(f"{what}: it has ended meanwhile, and nobody knows whether it was done") from error
    return bytes(answer)
