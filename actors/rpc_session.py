"""One WebSocket that speaks JSON-RPC: its calls, each in a task of its own, its subscriptions, its one writer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import msgspec
import trio

from actors.dispatcher import Dispatcher, decode_params, find_method
from actors.feed import Feed
from actors.rpc_subscriptions import Subscriptions
from protocols.errors import FleetError
from protocols.event_codec import encode_any
from protocols.jsonrpc import INTERNAL_ERROR, OVERLOADED, CallError, Request, Response, decode_message, failure, success
from protocols.peer import Peer
from protocols.port_params import SubscribeParams

__all__ = ["RpcSession"]

_CALLS = 64  # at once; a client that keeps to fewer never hears that it is too much
_QUEUE = 8  # messages to the client
_SEND = 20.0  # for one of them

Message: TypeAlias = Request | Response | list[Request | Response]
Later: TypeAlias = Callable[[], Awaitable[None]]


class Socket(Protocol):
    """What this needs of a WebSocket. Both raise an error of the transport's own where the client is gone."""

    async def get_message(self) -> str | bytes: ...

    async def send_message(self, message: str | bytes) -> None: ...


@dataclass(slots=True, kw_only=True)
class RpcSession:
    """Serves one connection. What the transport raises when that ends comes out of `run`."""

    socket: Socket
    peer: Peer
    dispatcher: Dispatcher
    feed: Feed
    _calls: int = 0

    async def run(self) -> None:
        """Until the client is gone. Raise BrokenResourceError where it takes nothing any more: then a message may have
        been sent in part, and nothing else can follow."""
        outbox, messages = trio.open_memory_channel[bytes](_QUEUE)
        subscriptions = Subscriptions(feed=self.feed, picture=self.dispatcher.reader.picture, send=outbox.send)
        async with outbox, trio.open_nursery() as nursery:
            nursery.start_soon(self._write, messages)
            while True:
                message = await self.socket.get_message()
                data = message.encode() if isinstance(message, str) else bytes(message)
                if self._calls >= _CALLS:
                    self._refuse(data, outbox)
                    continue
                self._calls += 1
                nursery.start_soon(self._answer, data, outbox, subscriptions, nursery)

    def _refuse(self, data: bytes, outbox: trio.MemorySendChannel[bytes]) -> None:
        """At once: who reads nothing and asks all the same is dropped."""
        request = decode_message(data)
        number = request.id if isinstance(request, Request) and request.id is not msgspec.UNSET else None
        try:
            outbox.send_nowait(_encode(failure(number, OVERLOADED, f"{_CALLS} calls are under way; ask again later")))
        except trio.WouldBlock:
            raise trio.BrokenResourceError("the client asks and does not read the answers") from None

    async def _answer(
        self, data: bytes, outbox: trio.MemorySendChannel[bytes], subscriptions: Subscriptions, nursery: trio.Nursery
    ) -> None:
        later: list[Later] = []
        message = decode_message(data)
        requests = message if isinstance(message, list) else [message]
        answers = [each for request in requests if (each := await self._one(request, subscriptions, later)) is not None]
        if answers:
            answer = _encode(answers if isinstance(message, list) else answers[0])
            try:
                outbox.send_nowait(answer)
            except trio.WouldBlock:
                await outbox.send(answer)
        self._calls -= 1
        for push in later:
            nursery.start_soon(push)

    async def _one(
        self, request: Request | Response, subscriptions: Subscriptions, later: list[Later]
    ) -> Response | None:
        """None for a notification: nobody waits for an answer."""
        if isinstance(request, Response):
            return request
        number = None if request.id is msgspec.UNSET else request.id
        try:
            response = success(number, await self._call(request, subscriptions, later))
        except CallError as error:
            response = failure(number, error.code, str(error))
        except (FleetError, OSError) as error:  # its files cannot be read
            response = failure(number, INTERNAL_ERROR, f"{request.method}: {error}")
        return None if request.id is msgspec.UNSET else response

    async def _call(self, request: Request, subscriptions: Subscriptions, later: list[Later]) -> Any:
        method = find_method(request.method)
        params: Any = decode_params(method, request.params)
        if not method.session:
            return await self.dispatcher.call(method, params, self.peer)
        if not isinstance(params, SubscribeParams):
            return subscriptions.unsubscribe(params)
        answer, push = subscriptions.subscribe(params)
        later += [] if push is None else [push]
        return answer

    async def _write(self, messages: trio.MemoryReceiveChannel[bytes]) -> None:
        async for message in messages:
            with trio.move_on_after(_SEND) as scope:
                await self.socket.send_message(message.decode())
            if scope.cancelled_caught:
                raise trio.BrokenResourceError("the client takes nothing")


def _encode(answer: Response | list[Response]) -> bytes:
    return encode_any(answer)
