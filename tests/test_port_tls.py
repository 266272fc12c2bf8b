"""The port with TLS: HTTP, event streams and WebSockets go through it, and nothing goes past it."""

import ssl
import subprocess
from pathlib import Path

import pytest
import trio
from trio_websocket import wrap_client_stream

from actors.port.limits import PortLimits
from tests.port_client import BEARER, SECRET, Opened, ask, open_port
from tests.require import program
from tests.test_port import stream_events


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of localhost, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    found = folder / "certificate.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [
        program("openssl", "install openssl"),
        "req",
        "-x509",
        *curve,
        *name,
        "-days",
        "2",
        "-out",
        str(found[0]),
        "-keyout",
        str(found[1]),
    ]
    subprocess.run(command, capture_output=True, check=True)
    return found


def _server(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


async def _connect(port: Opened, certificate: tuple[Path, Path]) -> trio.SSLStream[trio.SocketStream]:
    trusting = ssl.create_default_context(cafile=certificate[0])
    return trio.SSLStream(await port.connect(), trusting, server_hostname="localhost", https_compatible=True)


async def test_requests_and_websockets_go_through_tls(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    async with open_port(tmp_path, tls=_server(certificate)) as port:
        async with await _connect(port, certificate) as stream:
            answer = await port.exchange(stream, ask("GET", "/x", BEARER))
        async with await _connect(port, certificate) as stream, trio.open_nursery() as nursery:
            headers = [(b"Authorization", f"Bearer {SECRET}".encode())]
            socket = await wrap_client_stream(nursery, stream, "localhost", "/rpc", extra_headers=headers)
            told = await socket.get_message()
            await socket.aclose()

        assert answer.endswith(b"GET /x token admin 0")
        assert told == "token admin"
        assert port.counts.failed == 0


async def test_the_unix_socket_speaks_plainly_also_where_the_address_has_tls(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    async with (
        open_port(tmp_path, tls=_server(certificate)) as port,
        await trio.open_unix_socket(port.socket) as stream,
    ):
        answer = await port.exchange(stream, ask("GET", "/x"))

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_who_does_not_speak_tls_is_dropped_and_the_others_are_served(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    async with open_port(tmp_path, tls=_server(certificate), limits=PortLimits(header=0.2)) as port:
        async with await port.connect() as silent:
            plain = await port.say(ask("GET", "/x", BEARER))
            garbage = await port.say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600))
            quiet = await port.exchange(silent, b"")
        async with await _connect(port, certificate) as stream:
            answer = await port.exchange(stream, ask("GET", "/x", BEARER))

        assert b"HTTP" not in plain + garbage + quiet
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert port.counts.failed == 0


async def test_the_end_of_the_port_is_said_through_tls_too(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    async with (
        open_port(tmp_path, app=stream_events, tls=_server(certificate), limits=PortLimits(farewell=10)) as port,
        await _connect(port, certificate) as stream,
    ):
        await stream.send_all(ask("GET", "/events", BEARER))
        while b"data: x" not in await stream.receive_some():
            pass
        port.stop.cancel()
        answer = await port.exchange(stream, b"")

    assert b"event: bye" in answer
