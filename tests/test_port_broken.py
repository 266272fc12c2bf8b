"""Requests that are broken, in ways that have ended other servers: each gets its answer, and nobody else notices."""

import logging
import socket
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.port_client import BEARER, open_port

_HEAD = f"Host: localhost\r\n{BEARER}\r\n".encode()
_GET = b"GET /x HTTP/1.1\r\n" + _HEAD
_POST = b"POST /x HTTP/1.1\r\n" + _HEAD
_KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
_VERSION = b"Sec-WebSocket-Version: 13\r\n"
_RPC = b"GET /rpc HTTP/1.1\r\n" + _HEAD
_SHAKE = _RPC + _UPGRADE + _VERSION + _KEY
_END = b"\r\n"

# What is sent, and the status of the first answer; 0: there is none, the connection ends.
BROKEN: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 0),
    "one zero byte": (b"\0", 400),
    "empty lines alone": (b"\r\n\r\n", 400),
    "a lone line feed": (b"\n", 400),
    "binary garbage": (bytes(range(256)) + b"\r\n\r\n", 400),
    "a client hello of TLS": (bytes.fromhex("160301020001000001fc0303") + bytes(200), 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400),
    "a redis command": (b"*1\r\n$4\r\nPING\r\n\r\n", 400),
    "a request line without a version": (b"GET /x\r\n" + _HEAD + _END, 400),
    "HTTP/0.9": (b"GET /x\r\n\r\n", 400),
    "HTTP/1.0 without a host": (b"GET /x HTTP/1.0\r\n\r\n", 421),
    "HTTP/2.0": (b"GET /x HTTP/2.0\r\n" + _HEAD + _END, 400),
    "HTTP/9.9": (b"GET /x HTTP/9.9\r\n" + _HEAD + _END, 400),
    "a version of letters": (b"GET /x HTTP/a.b\r\n" + _HEAD + _END, 400),
    "two spaces in the request line": (b"GET  /x HTTP/1.1\r\n" + _HEAD + _END, 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n" + _HEAD + _END, 400),
    "a target with a zero byte": (b"GET /a\0b HTTP/1.1\r\n" + _HEAD + _END, 400),
    "a target that is no ASCII": ("GET /ä HTTP/1.1\r\n".encode() + _HEAD + _END, 400),
    "a target with broken percent signs": (b"GET /%zz%f HTTP/1.1\r\n" + _HEAD + _END, 200),
    "a target that decodes to no UTF-8": (b"GET /%ff%fe HTTP/1.1\r\n" + _HEAD + _END, 200),
    "an absolute target": (b"GET http://localhost/x HTTP/1.1\r\n" + _HEAD + _END, 400),
    "a star as target": (b"OPTIONS * HTTP/1.1\r\n" + _HEAD + _END, 400),
    "CONNECT": (b"CONNECT localhost:22 HTTP/1.1\r\n" + _HEAD + _END, 400),
    "no method": (b" /x HTTP/1.1\r\n" + _HEAD + _END, 400),
    "a method of other characters": (b"G(T /x HTTP/1.1\r\n" + _HEAD + _END, 400),
    "a request line of 20 KiB": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + _HEAD + _END, 431),
    "a request line without an end": (b"GET /" + b"a" * 70_000, 431),
    "headers of 20 KiB": (_GET + b"X: " + b"a" * 20_000 + _END + _END, 431),
    "ten thousand headers": (_GET + b"X: a\r\n" * 10_000 + _END, 431),
    "no host": (b"GET /x HTTP/1.1\r\n\r\n", 400),
    "two hosts": (_GET + b"Host: evil\r\n\r\n", 400),
    "an empty host": (b"GET /x HTTP/1.1\r\nHost:\r\n\r\n", 421),
    "another host": (b"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    "a host that begins as ours": (b"GET /x HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421),
    "a host with a user": (b"GET /x HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", 421),
    "a host that is no ASCII": ("GET /x HTTP/1.1\r\nHost: löcalhost\r\n\r\n".encode(), 421),
    "a host with a broken IDNA label": (b"GET /x HTTP/1.1\r\nHost: xn--\xff.example\r\n\r\n", 421),
    "a host with a port of letters": (b"GET /x HTTP/1.1\r\nHost: localhost:http\r\n\r\n", 421),
    "another origin": (_GET + b"Origin: https://evil.example\r\n\r\n", 403),
    "another port of this machine as origin": (_GET + b"Origin: http://localhost:5173\r\n\r\n", 403),
    "the origin null": (_GET + b"Origin: null\r\n\r\n", 403),
    "two origins": (_GET + b"Origin: http://localhost\r\nOrigin: http://localhost\r\n\r\n", 403),
    "an origin that is no ASCII": (_GET + b"Origin: http://\xff\xfe\r\n\r\n", 403),
    "no token": (b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
    "a wrong token": (b"GET /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n", 401),
    "a token that is no ASCII": (b"GET /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\r\n\r\n", 401),
    "an endless token": (
        b"GET /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + b"a" * 9000 + b"\r\n\r\n",
        401,
    ),
    "two tokens": (_GET + f"{BEARER}\r\n\r\n".encode(), 401),
    "a password": (b"GET /x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YTpi\r\n\r\n", 401),
    "a token in the address": (b"GET /x?token=the-secret-of-the-admin HTTP/1.1\r\nHost: localhost\r\n\r\n", 401),
    "a header without a colon": (_GET + b"X\r\n\r\n", 400),
    "a header without a name": (_GET + b": x\r\n\r\n", 400),
    "a space before the colon": (_GET + b"X : x\r\n\r\n", 400),
    "a header with a zero byte": (_GET + b"X: a\0b\r\n\r\n", 400),
    "a header with a carriage return": (_GET + b"X: a\rb\r\n\r\n", 400),
    "a header name that is no ASCII": (_GET + b"\xc3\xa4: x\r\n\r\n", 400),
    "a folded first header": (b"GET /x HTTP/1.1\r\n X: y\r\n" + _HEAD + _END, 400),
    "half of the headers": (_GET, 400),
    "a length of letters": (_POST + b"Content-Length: abc\r\n\r\n", 400),
    "a negative length": (_POST + b"Content-Length: -1\r\n\r\n", 400),
    "a length of 5,000 digits": (_POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "two lengths": (_POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "a length and chunks": (_POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a body that is shorter than it said": (_POST + b"Content-Length: 10\r\n\r\nabc", 400),
    "a length of a gigabyte": (_POST + b"Content-Length: 1073741824\r\n\r\n", 413),
    "a body of 2 MiB": (_POST + b"Content-Length: 2097152\r\n\r\n" + bytes(2097152), 413),
    "chunks of 2 MiB": (
        _POST + b"Transfer-Encoding: chunked\r\n\r\n200000\r\n" + bytes(2097152) + b"\r\n0\r\n\r\n",
        413,
    ),
    "an unknown encoding": (_POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "two encodings": (_POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "a chunk with a size of letters": (_POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "a chunk of a negative size": (_POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    "a chunk of an endless size": (_POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\n", 400),
    "a chunk without its end": (_POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n", 400),
    "an endless extension of a chunk": (_POST + b"Transfer-Encoding: chunked\r\n\r\n3;" + b"a" * 40_000, 431),
    "an endless trailer": (_POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 40_000, 431),
    "an upgrade to h2c with bad settings": (
        _GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: !!!\r\n\r\n",
        200,
    ),
    "an upgrade to nothing": (_GET + b"Connection: Upgrade\r\nUpgrade:\r\n\r\n", 200),
    "a WebSocket somewhere else": (_GET + _UPGRADE + _VERSION + _KEY + _END, 200),
    "a handshake without an upgrade": (_RPC + _END, 426),
    "a handshake without a version": (_RPC + _UPGRADE + _KEY + _END, 426),
    "a handshake of version 8": (_RPC + _UPGRADE + b"Sec-WebSocket-Version: 8\r\n" + _KEY + _END, 426),
    "a handshake without a key": (_RPC + _UPGRADE + _VERSION + _END, 400),
    "a handshake with a short key": (_RPC + _UPGRADE + _VERSION + b"Sec-WebSocket-Key: YQ==\r\n\r\n", 400),
    "a handshake with a key that is no base64": (_RPC + _UPGRADE + _VERSION + b"Sec-WebSocket-Key: \xff!\r\n\r\n", 400),
    "a handshake by POST": (_SHAKE.replace(b"GET", b"POST") + _END, 400),
    "a handshake with a body": (_SHAKE + b"Content-Length: 3\r\n\r\nabc", 400),
    "a handshake of HTTP/1.0": (_SHAKE.replace(b"HTTP/1.1", b"HTTP/1.0") + _END, 400),
    "a handshake from another origin": (_SHAKE + b"Origin: https://evil.example\r\n\r\n", 403),
    "a handshake with a wrong token": (_SHAKE.replace(b"the-secret", b"no-secret") + _END, 401),
    "a subprotocol that is no ASCII": (_SHAKE + b"Sec-WebSocket-Protocol: \xff\xfe\r\n\r\n", 101),
    "an extension that is no ASCII": (_SHAKE + b"Sec-WebSocket-Extensions: \xff\xfe\r\n\r\n", 101),
    "a connection header that is no ASCII": (_SHAKE.replace(b"Upgrade\r\nUp", b"Upgrade, \xff\r\nUp") + _END, 101),
    "a frame behind the handshake in one packet": (_SHAKE + _END + b"\x81\x83\0\0\0\0abc", 101),
    "garbage behind the handshake": (_SHAKE + _END + b"\xff" * 300, 101),
    "a frame without a mask": (_SHAKE + _END + b"\x81\x03abc", 101),
    "a frame with reserved bits": (_SHAKE + _END + b"\xf1\x83\0\0\0\0abc", 101),
    "a frame of an unknown kind": (_SHAKE + _END + b"\x83\x83\0\0\0\0abc", 101),
    "a ping of 200 bytes": (_SHAKE + _END + b"\x89\xfe\0\xc8\0\0\0\0" + bytes(200), 101),
    "a ping in parts": (_SHAKE + _END + b"\x09\x83\0\0\0\0abc", 101),
    "text that is no UTF-8": (_SHAKE + _END + b"\x81\x82\0\0\0\0\xff\xfe", 101),
    "a continuation of nothing": (_SHAKE + _END + b"\x80\x83\0\0\0\0abc", 101),
    "a frame of 2 to the power of 63 bytes": (_SHAKE + _END + b"\x81\xff\x80" + bytes(7) + bytes(4), 101),
    "a message of 2 MiB": (_SHAKE + _END + b"\x81\xff" + struct.pack("!Q", 2097152) + bytes(4) + b"a" * 2097152, 101),
    "a close with one byte": (_SHAKE + _END + b"\x88\x81\0\0\0\0a", 101),
    "a close with an impossible code": (_SHAKE + _END + b"\x88\x82\0\0\0\0\x03\xed", 101),
    "a close with a reason that is no UTF-8": (_SHAKE + _END + b"\x88\x84\0\0\0\0\x03\xe8\xff\xfe", 101),
    "half a frame": (_SHAKE + _END + b"\x81\xfe\x10", 101),
    "two requests at once, the second broken": (_GET + _END + b"\0\0\0\r\n\r\n", 200),
    "a body behind a GET": (_GET + _END + b"abc", 200),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_request_ends_its_own_connection_only(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sent, status = BROKEN[name]
    async with open_port(tmp_path) as port:
        answer = await port.say_and_end(sent)
        after = await port.get()

        assert _status(answer) == status
        assert _status(after) == 200
        assert port.counts.failed == 0
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_request_with_a_reset_behind_it_harms_nobody(name: str, tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        stream = await port.connect()
        with suppress(trio.BrokenResourceError):
            await stream.send_all(BROKEN[name][0])
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        after = await port.get()

        assert _status(after) == 200
        assert port.counts.failed == 0


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 60
