"""Thousands of requests that are broken at random: the port answers, or ends them, and lives."""

import random
from pathlib import Path

import pytest
import trio

from tests.port_client import BEARER, Opened, ask, open_port
from tests.test_port_broken import BROKEN

_SEED = 20261122
_REQUESTS = 6000
_SECONDS = 12.0  # on a machine that is slow, or busy with other tests, there are fewer
_CLIENTS = 16
_LONGEST = 64 * 1024
_SPICE = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"\xff",
        b"\x81\xfe\xff\xff",
        b"\x88\x02",
        b"%",
        b"chunked",
        b"0\r\n\r\n",
    ),
    *(b"Host: localhost\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"),
    *(
        b"Connection: Upgrade\r\n",
        b"Upgrade: websocket\r\n",
        b"HTTP/1.1",
        b"/rpc",
        b"GET ",
        b"-1",
        b"9" * 30,
        b"\xe2\x80\xa8",
    ),
]


def _seeds() -> list[bytes]:
    sent = [each for each, _ in BROKEN.values() if len(each) <= _LONGEST]
    fine = [ask("GET", "/health"), ask("POST", "/x", BEARER, body=b"abc"), ask("HEAD", "/x", BEARER)]
    return [*sent, *fine * 10]


def _mutate(sent: bytes, others: list[bytes], chance: random.Random) -> bytes:
    data = bytearray(sent)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((1, 2, 8, 64)))
        match chance.randrange(6):
            case 0 if start < len(data):
                data[start] ^= 1 << chance.randrange(8)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end] * chance.choice((1, 3, 50))
            case 3:
                data[start:start] = chance.choice(_SPICE)
            case 4:
                data[start:] = chance.choice(others)[start:]
            case _:
                data[start:end] = chance.randbytes(end - start)
    return bytes(data[:_LONGEST])


async def _attack(port: Opened, queue: trio.MemoryReceiveChannel[bytes]) -> None:
    async with queue:
        async for sent in queue:
            try:
                await port.say_and_end(sent)
            except OSError:
                continue  # all of our own ports are in use for a moment


@pytest.mark.deadline(60)
async def test_no_mutation_of_a_request_ends_the_port_or_shows_an_error_of_ours(tmp_path: Path) -> None:
    chance, seeds = random.Random(_SEED), _seeds()
    async with open_port(tmp_path) as port:
        send, receive = trio.open_memory_channel[bytes](0)
        async with trio.open_nursery() as nursery, receive:
            for _ in range(_CLIENTS):
                nursery.start_soon(_attack, port, receive.clone())
            async with send:
                with trio.move_on_after(_SECONDS):  # that many are enough, too
                    for _ in range(_REQUESTS):
                        await send.send(_mutate(chance.choice(seeds), seeds, chance))
        answer = await port.get()

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert port.counts.failed == 0
        assert port.counts.accepted > _CLIENTS
