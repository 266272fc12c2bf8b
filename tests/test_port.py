"""The port takes what is in order, and outlives all that is not."""

from pathlib import Path

import trio
from trio_websocket import open_websocket_url

from tests.port_client import BEARER, SECRET, ask, open_port


async def test_a_request_with_the_token_reaches_the_app_and_says_who_asks(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        answer = await port.say(ask("POST", "/a%20b", BEARER, body=b"12345"))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"POST /a b token admin 5")


async def test_a_websocket_with_the_token_reaches_the_handler(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        headers = [(b"Authorization", f"Bearer {SECRET}".encode())]
        async with open_websocket_url(f"ws://{port.url}/rpc", extra_headers=headers) as socket:
            assert await socket.get_message() == "token admin"
            await socket.send_message("abc")
            assert await socket.get_message() == "abc"


async def test_the_unix_socket_needs_no_token(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port, await trio.open_unix_socket(port.socket) as stream:
        answer = await port.exchange(stream, ask("GET", "/x"))

    assert b"GET /x user " in answer
