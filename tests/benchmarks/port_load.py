"""The clients of a port that is measured, in a process of their own: ``python -m tests.benchmarks.port_load``.

One JSON object on its command line says what to do (`Load`), one on its stdout what was seen (`Seen`).
"""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
import trio
from trio_websocket import WebSocketConnection, connect_websocket_url

from protocols.sse import SseEvent, SseParser
from tests.benchmarks.http_load import HttpClient

__all__ = ["Load", "Seen"]

_PATIENCE = 120.0
_LONGEST = 16 * 1024 * 1024
_AT_ONCE = 50  # connections that are being opened


class Load(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["calls", "push", "idle", "delays", "requests", "events"]
    """``requests`` and ``events`` are of HTTP: as fast as they are answered, and of one stream."""
    url: str
    token: str = ""
    connections: int = 1
    seconds: float = 1.0
    method: str = ""
    """Of HTTP a path."""
    params: dict[str, Any] = {}
    count: int = 0
    """Of ``push``: messages that each connection gets; of records, the number of the last one."""
    records: bool = False
    """Messages hold records."""
    event: str = ""
    """Of ``delays``: the kind that counts."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    per_second: float = 0.0
    """Calls, or messages; of records their number."""
    size: float = 0.0
    """Mean bytes of a message that came."""
    delays: list[float] = []
    """Milliseconds."""
    messages: int = 0


class _Record(msgspec.Struct, frozen=True):
    seq: int = 0
    at: float = 0.0
    type: str = ""


class _Params(msgspec.Struct, frozen=True):
    records: list[_Record] = []


class _Message(msgspec.Struct, frozen=True):
    params: _Params = _Params()


class _Count:
    """Of what has come."""

    def __init__(self) -> None:
        self.messages = self.bytes = self.units = 0
        self.delays: list[float] = []

    def seen(self, seconds: float) -> Seen:
        size = self.bytes / max(self.messages, 1)
        return Seen(per_second=self.units / seconds, size=size, delays=self.delays, messages=self.messages)


_decoder: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(_Message)
_record_decoder: msgspec.json.Decoder[_Record] = msgspec.json.Decoder(_Record)


async def main() -> None:
    load = msgspec.json.decode(sys.argv[1], type=Load)
    match load.kind:
        case "requests":
            seen = await _request_all(load)
        case "events":
            seen = await _note_events(load)
        case _:
            async with _connected(load) as sockets:
                seen = await _use(sockets, load)
    print(msgspec.json.encode(seen).decode())


async def _use(sockets: list[WebSocketConnection], load: Load) -> Seen:
    match load.kind:
        case "calls":
            return await _call(sockets, load)
        case "push":
            return await _take_pushes(sockets, load)
        case "delays":
            return await _note_delays(sockets, load)
        case _:
            return await _wait()


@asynccontextmanager
async def _connected(load: Load) -> AsyncIterator[list[WebSocketConnection]]:
    headers = [(b"authorization", f"Bearer {load.token}".encode())] if load.token else []
    sockets: list[WebSocketConnection] = []
    limiter = trio.CapacityLimiter(_AT_ONCE)

    async def connect(living: trio.Nursery) -> None:
        async with limiter:
            sockets.append(
                await connect_websocket_url(
                    living, load.url, extra_headers=headers, message_queue_size=16, max_message_size=_LONGEST
                )
            )

    async with trio.open_nursery() as living:
        with trio.fail_after(_PATIENCE):
            async with trio.open_nursery() as opening:
                for _ in range(load.connections):
                    opening.start_soon(connect, living)
        yield sockets
        living.cancel_scope.cancel(reason="all is seen")


def _request(number: int, method: str, params: object) -> str:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).decode()


async def _call(sockets: list[WebSocketConnection], load: Load) -> Seen:
    """Each connection sends its next call when the one before is answered."""
    count = _Count()
    until = time.perf_counter() + load.seconds

    async def go_on(socket: WebSocketConnection) -> None:
        number = 0
        while (began := time.perf_counter()) < until:
            number += 1
            await socket.send_message(_request(number, load.method, load.params))
            answer = await socket.get_message()
            count.delays.append((time.perf_counter() - began) * 1000)
            count.units, count.messages, count.bytes = count.units + 1, count.messages + 1, count.bytes + len(answer)
            if number == 1 and '"result"' not in str(answer):
                raise RuntimeError(f"{load.method}: {answer!r}")

    async with trio.open_nursery() as nursery:
        for socket in sockets:
            nursery.start_soon(go_on, socket)
    return count.seen(load.seconds)


async def _wait() -> Seen:
    """Until our stdin is closed."""
    print("ready", flush=True)
    await trio.to_thread.run_sync(sys.stdin.read)
    return Seen()


async def _take_pushes(sockets: list[WebSocketConnection], load: Load) -> Seen:
    """From the first request on, until all connections have all."""
    count = _Count()
    began = time.perf_counter()

    async def take(socket: WebSocketConnection) -> None:
        await socket.send_message(_request(1, load.method, load.params))
        got = 0
        while got < load.count:
            message = await socket.get_message()
            if load.records:
                if (upto := _upto(str(message))) is None:
                    continue
                units, got = upto - (got or load.params["after"]), upto
            else:
                units, got = 1, got + 1
            count.units, count.messages, count.bytes = (
                count.units + units,
                count.messages + 1,
                count.bytes + len(message),
            )

    async with trio.open_nursery() as nursery:
        for socket in sockets:
            nursery.start_soon(take, socket)
    return count.seen(time.perf_counter() - began)


def _upto(message: str) -> int | None:
    """The number of the last record of a push, None of anything else. No more is read: nobody reads what bare sends."""
    place = message.find('"upto":', 0, 200)
    return None if place < 0 else int(message[place + 7 : place + 30].partition(",")[0])


async def _note_delays(sockets: list[WebSocketConnection], load: Load) -> Seen:
    """Of each record that comes, since its event happened."""
    count = _Count()

    async def note(socket: WebSocketConnection) -> None:
        await socket.send_message(_request(1, load.method, load.params))
        with trio.move_on_after(load.seconds):
            while True:
                message = await socket.get_message()
                now = time.time()
                records = _decoder.decode(message).params.records
                count.delays += [(now - record.at) * 1000 for record in records if record.type == load.event]
                count.units, count.messages, count.bytes = (
                    count.units + len(records),
                    count.messages + 1,
                    count.bytes + len(message),
                )

    async with trio.open_nursery() as nursery:
        for socket in sockets:
            nursery.start_soon(note, socket)
    return count.seen(load.seconds)


async def _request_all(load: Load) -> Seen:
    count = _Count()
    until = time.perf_counter() + load.seconds

    async def go_on() -> None:
        client = await HttpClient.connect(load.url, load.token)
        while time.perf_counter() < until:
            delay, size = await client.time(load.method)
            count.delays.append(delay)
            count.units, count.messages, count.bytes = count.units + 1, count.messages + 1, count.bytes + size

    async with trio.open_nursery() as nursery:
        for _ in range(load.connections):
            nursery.start_soon(go_on)
    return count.seen(load.seconds)


async def _note_events(load: Load) -> Seen:
    """Of each record that comes as an event, since its event happened."""
    count = _Count()
    parser = SseParser()
    client = await HttpClient.connect(load.url, load.token)
    with trio.move_on_after(load.seconds):
        async for data in client.get(load.method):
            now = time.time()
            for found in (each for each in parser.feed(data) if isinstance(each, SseEvent)):
                record = _record_decoder.decode(found.data)
                if record.type == load.event:
                    count.delays.append((now - record.at) * 1000)
                count.units += 1
            count.messages, count.bytes = count.messages + 1, count.bytes + len(data)
    return count.seen(load.seconds)


if __name__ == "__main__":
    trio.run(main)
