"""The client of the socket that every fleet has, also one in the foreground."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from actors.unix_socket import connect_unix
from protocols.control import RunStatus, SendParams, SendResult, StatusParams, StopParams, StopResult
from protocols.errors import FleetError, UnreachableError
from protocols.jsonrpc import Failure, Request, Response

__all__ = ["FleetClient", "open_fleet_client"]

_ANSWER = 5.0  # a supervisor that says nothing for so long is stopped, starved or stuck
_TYPED = 15.0  # what a worker does not read is tried for some seconds

Result = TypeVar("Result", RunStatus, StopResult, SendResult)


@dataclass(slots=True)
class FleetClient:
    """One connection to a supervisor. Calls raise UnreachableError when it does not answer."""

    path: Path
    stream: trio.SocketStream
    _buffer: bytearray = field(default_factory=bytearray)

    async def status(self) -> RunStatus:
        return await self._call("status", StatusParams(), RunStatus)

    async def stop(self, params: StopParams) -> StopResult:
        """Return when the stop is in the journal."""
        return await self._call("stop", params, StopResult)

    async def send(self, params: SendParams) -> SendResult:
        """Return when the worker took all of it. Raise FleetError where it did not, with the reason."""
        return await self._call("send", params, SendResult, _TYPED)

    async def wait_closed(self) -> None:
        """Return when the supervisor has closed the connection: the run has ended."""
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass  # it ended less politely

    async def _call(
        self,
        method: str,
        params: StatusParams | StopParams | SendParams,
        kind: type[Result],
        patience: float = _ANSWER,
    ) -> Result:
        request = Request(jsonrpc="2.0", method=method, params=msgspec.Raw(msgspec.json.encode(params)), id=1)
        with trio.move_on_after(patience):
            line = await self._exchange(msgspec.json.encode(request) + b"\n")
            response = msgspec.json.decode(line, type=Response)
            if isinstance(response.error, Failure):
                raise FleetError(response.error.message)
            return msgspec.json.decode(response.result or b"", type=kind)
        raise UnreachableError(
            f"{self.path}: its supervisor holds the run but has not answered for {patience:g} s; "
            f"is it stopped (Ctrl-Z, a debugger) or starved?"
        )

    async def _exchange(self, line: bytes) -> bytes:
        try:
            await self.stream.send_all(line)
            while b"\n" not in self._buffer:
                if not (data := await self.stream.receive_some()):
                    raise trio.BrokenResourceError("in the middle of an answer")
                self._buffer += data
        except trio.BrokenResourceError as error:
            raise UnreachableError(
                f"{self.path}: its supervisor closed the connection; the run may just have ended"
            ) from error
        answer, _, self._buffer = self._buffer.partition(b"\n")
        return bytes(answer)


@asynccontextmanager
async def open_fleet_client(path: Path) -> AsyncIterator[FleetClient]:
    """Connect to the socket of a running fleet; raise UnreachableError when nobody listens there."""
    try:
        connection = connect_unix(path)
    except OSError as error:
        raise UnreachableError(f"{path}: no supervisor answers there: {error.strerror}") from error
    connection.setblocking(False)
    async with trio.SocketStream(trio.socket.from_stdlib_socket(connection)) as stream:
        yield FleetClient(path, stream)
