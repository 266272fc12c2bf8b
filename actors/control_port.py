"""The Unix socket of a fleet: JSON-RPC 2.0, one object a line."""

import logging
import math
import os
import socket
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from actors.messages import Subscribe
from actors.orders import Decision, StopRun
from actors.subscription import follow_records
from actors.unix_socket import peer_user
from protocols.control import RunStatus, StatusParams, StopParams, StopResult, run_status
from protocols.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Request,
    Response,
    decode_request,
    failure,
)
from protocols.states import RunView

__all__ = ["ControlPort"]

logger = logging.getLogger(__name__)

_MAX_LINE = 64 * 1024
_IDLE = 30.0  # a client that says nothing for so long is dropped; one that waits for the end of a stop is not
_SEND = 5.0  # one that reads nothing is dropped too
_CLIENTS = 64

Params = TypeVar("Params", StatusParams, StopParams)


class _InvalidParamsError(Exception):
    """What a client sent as parameters does not fit the method."""


@dataclass(slots=True)
class _Picture:
    """The run as its records tell it, kept for those who ask."""

    view: RunView = field(default_factory=RunView)
    changed: trio.Event = field(default_factory=trio.Event)
    """Set, and replaced, with each stop in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPort:
    """Answer ``status`` and ``stop``. A client, however broken, ends its own connection only."""

    listener: socket.socket
    """Bound and listening; closed with the actor."""
    journal: Path
    subscribe: trio.MemorySendChannel[Subscribe]
    outbox: trio.MemorySendChannel[Decision]
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        picture = _Picture()
        self.listener.setblocking(False)
        with trio.socket.from_stdlib_socket(self.listener) as listener:
            async with self.outbox.clone() as outbox, trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, picture)
                task_status.started()
                places = trio.CapacityLimiter(_CLIENTS)
                while True:
                    connection, _ = await listener.accept()
                    nursery.start_soon(self._guard, connection, picture, outbox, places)

    async def _watch(self, picture: _Picture) -> None:
        async with aclosing(follow_records(self.journal, self.subscribe)) as records:
            async for record in records:
                before = picture.view.stopping
                picture.view.apply(record)
                if picture.view.stopping is not before:
                    picture.changed.set()
                    picture.changed = trio.Event()

    async def _guard(
        self,
        connection: trio.socket.SocketType,
        picture: _Picture,
        outbox: trio.MemorySendChannel[Decision],
        places: trio.CapacityLimiter,
    ) -> None:
        with connection:
            if peer_user(connection) not in {0, os.geteuid()}:
                return
            async with places:
                try:
                    await self._serve(trio.SocketStream(connection), picture, outbox)
                except (trio.BrokenResourceError, trio.TooSlowError):
                    pass  # the client is gone or does not read; that is its own business
                except Exception:
                    logger.exception("a client of the control socket")

    async def _serve(
        self, stream: trio.SocketStream, picture: _Picture, outbox: trio.MemorySendChannel[Decision]
    ) -> None:
        buffer = bytearray()
        while True:
            with trio.fail_after(_IDLE if picture.view.stopping is None else math.inf):
                data = await stream.receive_some()
            if not data:
                return
            buffer += data
            while b"\n" in buffer:
                line, _, buffer = buffer.partition(b"\n")
                await _send(stream, await self._answer(bytes(line), picture, outbox))
            if len(buffer) > _MAX_LINE:
                await _send(stream, failure(None, INVALID_REQUEST, f"a request of more than {_MAX_LINE} bytes"))
                return

    async def _answer(self, line: bytes, picture: _Picture, outbox: trio.MemorySendChannel[Decision]) -> Response:
        request = decode_request(line)
        if isinstance(request, Response):
            return request
        try:
            result = await self._call(request, picture, outbox)
        except _InvalidParamsError as error:
            return failure(request.id, INVALID_PARAMS, str(error))
        except trio.BrokenResourceError:
            return failure(request.id, INTERNAL_ERROR, "the run is ending and takes no more commands")
        if result is None:
            return failure(request.id, METHOD_NOT_FOUND, f'no method "{request.method}"; there are: status, stop')
        return Response(id=request.id, result=msgspec.Raw(msgspec.json.encode(result)))

    async def _call(
        self, request: Request, picture: _Picture, outbox: trio.MemorySendChannel[Decision]
    ) -> RunStatus | StopResult | None:
        match request.method:
            case "status":
                _params(request, StatusParams)
                return run_status(picture.view, self.now())
            case "stop":
                return await _stop(_params(request, StopParams), picture, outbox)
            case _:
                return None


async def _stop(params: StopParams, picture: _Picture, outbox: trio.MemorySendChannel[Decision]) -> StopResult:
    """Answer when the stop is in the journal."""
    recorded = picture.changed
    await outbox.send(StopRun(params.reason, params.grace))
    await recorded.wait()
    stopping = picture.view.stopping
    return StopResult(params.reason, 0.0) if stopping is None else StopResult(stopping.reason, stopping.grace)


def _params(request: Request, kind: type[Params]) -> Params:
    try:
        return msgspec.json.decode(request.params, type=kind)
    except msgspec.ValidationError as error:
        raise _InvalidParamsError(f"{request.method}: {error}") from error


async def _send(stream: trio.SocketStream, response: Response) -> None:
    with trio.fail_after(_SEND):
        await stream.send_all(msgspec.json.encode(response) + b"\n")
