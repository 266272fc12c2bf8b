"""Calls of a JSON-RPC server over a WebSocket that is made again when it breaks: what has no answer is asked again."""

import itertools
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from actors.rpc_connection import BROKEN, GoneError, explain, part
from protocols.backoff import delay, delays
from protocols.errors import FleetError, InputError, UnreachableError
from protocols.jsonrpc import INVALID_PARAMS, NOT_FOUND, OVERLOADED, REFUSED, Failure, Request

__all__ = ["RpcClient", "Watcher"]

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_HEALTHY = 1.0  # seconds of a connection behind which the pauses begin anew
_AT_ONCE = 32  # calls without an answer

T = TypeVar("T")


class _Incoming(msgspec.Struct, frozen=True):
    """An answer, or what the server tells unasked."""

    id: int | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Failure | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")


_decoder: msgspec.json.Decoder[_Incoming] = msgspec.json.Decoder(_Incoming)


class Watcher(Protocol):
    """Somebody who takes what the server tells unasked. Neither of these may wait."""

    def take(self, method: str, params: msgspec.Raw) -> None: ...

    def lose(self) -> None:
        """The connection has broken: what was to come on it does not come."""


@dataclass(slots=True, eq=False)
class _Call:
    text: str
    answer: _Incoming | None = None
    done: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True, kw_only=True)
class RpcClient:
    """`run` keeps a connection. A call that has no answer when it breaks is sent again over the next one: so whatever
    acts needs a key by which the server knows that it was asked before."""

    name: str
    """Of the server, for errors."""
    connect: Callable[[], AbstractAsyncContextManager[WebSocketConnection]]
    """Raise FleetError where it makes no sense to try again, were it the first time; GoneError where it never does."""
    first_patience: float = 5.0
    """Seconds within which there must be a first connection."""
    patience: float = 30.0
    """Seconds within which there must be another one."""
    watchers: list[Watcher] = field(default_factory=list)
    _calls: dict[int, _Call] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _news: trio.Event = field(default_factory=trio.Event)
    _places: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(_AT_ONCE))
    _failure: FleetError | None = None
    _connected_at: float | None = None
    """Of the last connection."""
    _socket: WebSocketConnection | None = None
    _leaving: bool = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Started with the first connection; raise FleetError where there is none. Later, where there is none within
        `patience`, all calls fail, and this returns."""
        lost_at, pauses = trio.current_time(), delays(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            before = self._connected_at
            problem = await self._connection(task_status)
            now = trio.current_time()
            if self._connected_at is not None and self._connected_at != before and now - self._connected_at >= _HEALTHY:
                lost_at, pauses = now, delays(_FIRST_PAUSE, _LONGEST_PAUSE)
            for watcher in self.watchers:
                watcher.lose()
            final = explain(self.name, problem)
            if self._connected_at is None and (final or now - lost_at >= self.first_patience):
                raise self._unreachable(problem, self.first_patience)
            if isinstance(final, GoneError) or now - lost_at >= self.patience:
                return self._give_up(self._unreachable(problem, self.patience))
            await trio.sleep(next(pauses))

    async def leave(self) -> None:
        """Close the connection in order. What remains is to cancel `run`."""
        self._leaving = True
        if self._socket is not None:
            await part(self._socket)

    async def call(self, method: str, params: msgspec.Struct | dict[str, Any], kind: type[T]) -> T:
        """The result. Raise InputError where the server refuses, UnreachableError where it is gone, else FleetError."""
        async with self._places:
            for tries in itertools.count(1):
                answer = await self._ask(method, params)
                if answer.error is None or answer.error.code != OVERLOADED:
                    break
                await trio.sleep(delay(tries, _FIRST_PAUSE, _LONGEST_PAUSE))
        if answer.error is not None:
            refused = answer.error.code in {REFUSED, NOT_FOUND, INVALID_PARAMS}
            raise (InputError if refused else FleetError)(answer.error.message)
        try:
            return msgspec.json.decode(answer.result or b"", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FleetError(f"{self.name}: {method}: its answer is not understood: {error}") from error

    async def _ask(self, method: str, params: msgspec.Struct | dict[str, Any]) -> _Incoming:
        number = next(self._numbers)
        request = Request(jsonrpc="2.0", method=method, params=msgspec.Raw(msgspec.json.encode(params)), id=number)
        call = self._calls[number] = _Call(msgspec.json.encode(request).decode())
        self._wake()
        try:
            while self._failure is None and not call.done.is_set():
                await call.done.wait()
        finally:
            del self._calls[number]
        if call.answer is None:
            failure = self._failure or UnreachableError(f"{self.name}: it is not connected")
            raise type(failure)(str(failure))  # one for each who asks
        return call.answer

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _unreachable(self, problem: BaseException, patience: float) -> FleetError:
        return explain(self.name, problem) or UnreachableError(f"{self.name}: {_words(problem)}, for {patience:g} s")

    def _give_up(self, failure: FleetError) -> None:
        self._failure = failure
        for call in self._calls.values():
            call.done.set()
        for watcher in self.watchers:
            watcher.lose()

    async def _connection(self, task_status: trio.TaskStatus[None]) -> BaseException:
        """One, until it breaks; return why it did, or why there is none."""
        first = self._connected_at is None
        problem: BaseException = UnreachableError(f"{self.name}: it is not connected")
        try:
            async with self.connect() as self._socket, trio.open_nursery() as nursery:
                self._connected_at = trio.current_time()
                if first:
                    task_status.started()
                nursery.start_soon(self._write, self._socket)
                await self._read(self._socket)
                await trio.sleep_forever()  # for the close handshake
        except* (*BROKEN, FleetError, msgspec.DecodeError, UnicodeDecodeError) as group:
            problem = group
        logger.info("%s: the connection has ended: %s", self.name, _words(problem))
        return problem

    async def _write(self, socket: WebSocketConnection) -> None:
        """All that has no answer yet, then what comes."""
        sent = 0
        while True:
            news = self._news
            for number, call in list(self._calls.items()):
                if number > sent and number in self._calls:
                    sent = number
                    await socket.send_message(call.text)
            if news is self._news:
                await news.wait()

    async def _read(self, socket: WebSocketConnection) -> None:
        """Until it is closed; return where that is our wish."""
        while True:
            try:
                text = await socket.get_message()
            except ConnectionClosed:
                if self._leaving:
                    return
                raise
            message = _decoder.decode(text)
            if message.method:
                for watcher in self.watchers:
                    watcher.take(message.method, message.params)
            elif message.id is not None and (call := self._calls.get(message.id)) is not None:
                call.answer = message
                call.done.set()


def _words(problem: BaseException) -> str:
    """In one line."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    match problem:
        case OSError(strerror=str(text)):
            return text
        case ConnectionClosed(reason=reason) if reason is not None:
            return f"it closed the connection ({reason.code}{f', {reason.reason}' if reason.reason else ''})"
        case trio.TooSlowError():
            return "it does not answer; is it stopped (Ctrl-Z, a debugger) or starved?"
        case _:
            return str(problem) or type(problem).__name__
