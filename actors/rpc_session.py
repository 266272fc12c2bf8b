"""One WebSocket that speaks JSON-RPC: its calls, those that take long in tasks of their own, and its subscriptions."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import trio

from actors.dispatcher import Dispatcher, decode_params, find_method
from actors.feed import Feed
from actors.fleet_reader import IN_MEMORY
from actors.rpc_subscriptions import Subscriptions
from actors.rpc_writer import RpcWriter, Socket
from protocols.errors import FleetError
from protocols.event_codec import encode_any
from protocols.jsonrpc import INTERNAL_ERROR, OVERLOADED, CallError, Request, Response, decode_message, failure, success
from protocols.peer import Peer
from protocols.port_params import SubscribeParams

__all__ = ["RpcSession"]

_CALLS = 64  # at once; a client that keeps to fewer never hears that it is too much

Message: TypeAlias = Request | Response | list[Request | Response]
Later: TypeAlias = Callable[[], Awaitable[None]]


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
        async with trio.open_nursery() as nursery:
            writer = RpcWriter(socket=self.socket, nursery=nursery)
            subscriptions = Subscriptions(feed=self.feed, picture=self.dispatcher.reader.picture, send=writer.send)
            while True:
                message = await self.socket.get_message()
                asked = decode_message(message.encode() if isinstance(message, str) else bytes(message))
                if self._calls >= _CALLS:
                    self._refuse(asked, writer)
                elif isinstance(asked, Request) and asked.method in IN_MEMORY:
                    await self._answer(asked, writer, subscriptions, nursery)
                else:
                    self._calls += 1
                    nursery.start_soon(self._take, asked, writer, subscriptions, nursery)

    def _refuse(self, asked: Message, writer: RpcWriter) -> None:
        """At once: who reads nothing and asks all the same is dropped."""
        number = asked.id if isinstance(asked, Request) and asked.id is not msgspec.UNSET else None
        try:
            writer.send_nowait(_encode(failure(number, OVERLOADED, f"{_CALLS} calls are under way; ask again later")))
        except trio.WouldBlock:
            raise trio.BrokenResourceError("the client asks and does not read the answers") from None

    async def _take(
        self, asked: Message, writer: RpcWriter, subscriptions: Subscriptions, nursery: trio.Nursery
    ) -> None:
        """What may take long."""
        try:
            await self._answer(asked, writer, subscriptions, nursery)
        finally:
            self._calls -= 1

    async def _answer(
        self, asked: Message, writer: RpcWriter, subscriptions: Subscriptions, nursery: trio.Nursery
    ) -> None:
        later: list[Later] = []
        requests = asked if isinstance(asked, list) else [asked]
        answers = [each for request in requests if (each := await self._one(request, subscriptions, later)) is not None]
        if answers:
            await writer.answer(_encode(answers if isinstance(asked, list) else answers[0]))
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
            return await subscriptions.unsubscribe(params)
        answer, push = subscriptions.subscribe(params)
        later += [] if push is None else [push]
        return answer


def _encode(answer: Response | list[Response]) -> bytes:
    return encode_any(answer)
