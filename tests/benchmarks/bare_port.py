"""What the port is measured against: trio-websocket as it comes, with msgspec and nothing else. Run as a program.

It answers each call with as many bytes as it is asked for, or with as many messages of that many bytes as it can send.
Its port is the first line that it prints.
"""

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, WebSocketServer, serve_websocket

__all__ = ["Bare"]


class Bare(msgspec.Struct, frozen=True):
    """``size``: bytes of an answer, or of each of the ``count`` messages that are pushed."""

    size: int
    count: int = 0


class _Call(msgspec.Struct, frozen=True):
    id: int
    params: Bare


_decoder: msgspec.json.Decoder[_Call] = msgspec.json.Decoder(_Call)


async def _serve(request: WebSocketRequest) -> None:
    async with await request.accept() as socket:
        try:
            while True:
                await _answer(socket, _decoder.decode(await socket.get_message()))
        except ConnectionClosed:
            pass


async def _answer(socket: WebSocketConnection, call: _Call) -> None:
    body = "x" * call.params.size
    for _ in range(call.params.count):
        await socket.send_message(body)
    if not call.params.count:
        answer = {"jsonrpc": "2.0", "id": call.id, "result": body}
        await socket.send_message(msgspec.json.encode(answer).decode())


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: WebSocketServer = await nursery.start(serve_websocket, _serve, "127.0.0.1", 0, None)
        print(server.port, flush=True)


if __name__ == "__main__":
    trio.run(main)
