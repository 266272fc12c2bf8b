"""The Unix socket of a fleet: JSON-RPC 2.0, one object a line."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
import trio

from actors.accepting import accept_patiently
from actors.commander import Commander, RefusedError
from actors.control_input import Inputs
from actors.control_records import send_records
from actors.greetings import greet
from actors.messages import Greeting, Subscribe
from actors.orders import Decision, StopRun
from actors.picture import Picture
from actors.unix_socket import bind_unix, peer_process, peer_user
from protocols.commands import Command, Done
from protocols.control import (
    FollowParams,
    FollowResult,
    HelloParams,
    HelloResult,
    RunStatus,
    SendParams,
    SendResult,
    StatusParams,
    StopParams,
    StopResult,
    run_status,
)
from protocols.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    REFUSED,
    Request,
    Response,
    decode_request,
    failure,
)

__all__ = ["ControlPort"]

logger = logging.getLogger(__name__)

_MAX_LINE = 64 * 1024
_IDLE = 30.0  # a client that says nothing for so long is dropped; one that waits for the end of a stop is not
_SEND = 5.0  # one that reads nothing is dropped too
_CLIENTS = 64
_RECORDED = 2.0  # the disk may take nothing: then a stop is under way all the same

Params = TypeVar("Params", StatusParams, StopParams, SendParams, FollowParams, HelloParams)
Result: TypeAlias = RunStatus | StopResult | SendResult | FollowResult | HelloResult | Done

_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class _InvalidParamsError(Exception):
    """What a client sent as parameters does not fit the method."""


@dataclass(slots=True)
class _Clients:
    """The scopes of those that are connected, whoever was silent for longest first."""

    scopes: dict[trio.CancelScope, None] = field(default_factory=dict)

    @contextmanager
    def place(self) -> Iterator[trio.CancelScope]:
        """A scope for one more. Where there are too many, the most silent one is dropped."""
        if len(self.scopes) >= _CLIENTS:
            silent = next(iter(self.scopes))
            del self.scopes[silent]
            silent.cancel(reason="another client needs the place")
        with trio.CancelScope() as scope:
            self.scopes[scope] = None
            try:
                yield scope
            finally:
                self.scopes.pop(scope, None)

    def heard(self, scope: trio.CancelScope) -> None:
        if scope in self.scopes:
            del self.scopes[scope]
            self.scopes[scope] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPort:
    """Answer ``status``, ``stop``, ``send`` and ``command``. A client, however broken, ends its own connection only."""

    path: Path
    """Of the socket."""
    journal: Path
    subscribe: trio.MemorySendChannel[Subscribe]
    outbox: trio.MemorySendChannel[Decision]
    picture: Picture
    inputs: Inputs
    commander: Commander
    greetings: trio.MemorySendChannel[Greeting] | None = None
    """Where there may be instances."""
    now: Callable[[], float] = time.time

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Raise OSError where the socket cannot be made."""
        clients = _Clients()
        bound = bind_unix(self.path)
        bound.setblocking(False)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound))
        async with listener, self.outbox.clone() as outbox, trio.open_nursery() as nursery:
            task_status.started()
            while True:
                stream = await accept_patiently(listener)
                nursery.start_soon(self._guard, stream.socket, outbox, clients)

    async def _guard(
        self, connection: trio.socket.SocketType, outbox: trio.MemorySendChannel[Decision], clients: _Clients
    ) -> None:
        with connection, clients.place() as scope:
            if peer_user(connection) not in {0, os.geteuid()}:
                return
            try:
                await self._serve(trio.SocketStream(connection), outbox, lambda: clients.heard(scope))
            except (trio.BrokenResourceError, trio.TooSlowError):
                pass  # the client is gone or does not read; that is its own business
            except Exception:
                logger.exception("a client of the control socket")

    async def _serve(
        self, stream: trio.SocketStream, outbox: trio.MemorySendChannel[Decision], heard: Callable[[], None]
    ) -> None:
        buffer = bytearray()
        patience = _IDLE
        while True:
            with trio.fail_after(patience):
                data = await stream.receive_some()
            if not data:
                return None
            buffer += data
            while b"\n" in buffer:
                line, _, buffer = buffer.partition(b"\n")
                heard()
                request = decode_request(bytes(line))
                if isinstance(request, Request) and request.method in {"stop", "command"}:
                    patience = math.inf
                response = await self._answer(request, outbox, peer_process(stream.socket))
                await _send(stream, response)
                if isinstance(request, Request) and (after := _following(request, response)) is not None:
                    return await send_records(stream, self.journal, self.subscribe, after)
            if len(buffer) > _MAX_LINE:
                await _send(stream, failure(None, INVALID_REQUEST, f"a request of more than {_MAX_LINE} bytes"))
                return None

    async def _answer(
        self, request: Request | Response, outbox: trio.MemorySendChannel[Decision], pid: int
    ) -> Response | None:
        """None for a notification. ``pid``: of who asks."""
        if isinstance(request, Response):
            return request
        number = None if request.id is msgspec.UNSET else request.id
        try:
            result = await self._call(request, outbox, pid)
        except _InvalidParamsError as error:
            response = failure(number, INVALID_PARAMS, str(error))
        except RefusedError as error:
            response = failure(number, REFUSED, str(error))
        except trio.BrokenResourceError:
            response = failure(number, INTERNAL_ERROR, "the run is ending and takes no more commands")
        else:
            response = (
                failure(
                    number,
                    METHOD_NOT_FOUND,
                    f'no method "{request.method}"; there are: status, stop, send, command, follow, hello',
                )
                if result is None
                else Response(id=number, result=msgspec.Raw(msgspec.json.encode(result)))
            )
        return None if request.id is msgspec.UNSET else response

    async def _call(self, request: Request, outbox: trio.MemorySendChannel[Decision], pid: int) -> Result | None:
        view = self.picture.view
        match request.method:
            case "status":
                _params(request, StatusParams)
                return run_status(view, self.now())
            case "stop":
                self.inputs.check_stop(view, pid)
                return await self._stop(_params(request, StopParams), outbox)
            case "command":
                return await self.commander.carry_out(_command(request), pid=pid)
            case "follow":
                return FollowResult(_params(request, FollowParams).after)
            case "hello":
                return await greet(_params(request, HelloParams), self.greetings)
            case "send":
                return await self.inputs.send(_params(request, SendParams), view, pid)
            case _:
                return None

    async def _stop(self, params: StopParams, outbox: trio.MemorySendChannel[Decision]) -> StopResult:
        """Answer when the stop is in the journal, if that takes it."""
        before = self.picture.view.stopping
        await outbox.send(StopRun(params.reason, params.grace))
        with trio.move_on_after(_RECORDED):
            await self.picture.wait_until(lambda view: view.stopping if view.stopping is not before else None)
        stopping = self.picture.view.stopping
        return StopResult(params.reason, 0.0) if stopping is None else StopResult(stopping.reason, stopping.grace)


def _following(request: Request, response: Response | None) -> int | None:
    """Behind which number the records are wanted; None where nobody wants them, or it was refused."""
    if request.method != "follow" or response is None or response.result is msgspec.UNSET:
        return None
    return msgspec.json.decode(response.result, type=FollowResult).after


def _params(request: Request, kind: type[Params]) -> Params:
    try:
        return msgspec.json.decode(request.params, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # nobody has looked into them yet
        raise _InvalidParamsError(f"{request.method}: {error}") from error


def _command(request: Request) -> Command:
    try:
        return _commands.decode(request.params)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _InvalidParamsError(f"command: {error}") from error


async def _send(stream: trio.SocketStream, response: Response | None) -> None:
    if response is None:
        return
    with trio.fail_after(_SEND):
        await stream.send_all(msgspec.json.encode(response) + b"\n")
