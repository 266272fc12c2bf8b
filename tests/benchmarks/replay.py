"""Replays a stream of an OpenCode server over HTTP, as fast as it is read or at a pace: a process of its own.

Called with the file of an event on each line (one ``data:`` each), how many rounds of it, the events of one chunk, and
the seconds between two chunks. ``@@@@@@@@@`` in a line becomes the number of the event, ``%%%%%%%%%%%%%%%%`` the time
in ns. Prints its port.
"""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["NUMBER", "STAMP", "main"]

NUMBER = b"@" * 9
STAMP = b"%" * 16
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_CONNECTED = b'data: {"payload":{"id":"evt_c","type":"server.connected","properties":{}}}\n\n'
_WRITE = 256 * 1024


def main() -> None:
    path, rounds, size, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    with Path(path).open("rb") as file:
        lines = [b"data: " + line + b"\n" for line in file]  # each ends its line itself: this ends the event
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
        with connection:
            _serve(connection, lines, rounds, size, pause)


def _serve(connection: socket.socket, lines: list[bytes], rounds: int, size: int, pause: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while b"\r\n\r\n" not in connection.recv(65536):
        pass
    connection.sendall(_HEAD + _chunk(_CONNECTED))
    ready = bytearray()
    for number, chunk in enumerate(_chunks(lines, rounds, size)):
        if pause:
            time.sleep(pause)
            connection.sendall(_chunk(chunk.replace(STAMP, b"%016d" % time.monotonic_ns())))
            continue
        ready += _chunk(chunk)
        if len(ready) >= _WRITE or not number:
            connection.sendall(ready)
            ready.clear()
    connection.sendall(ready + b"0\r\n\r\n")
    connection.recv(1)


def _chunks(lines: list[bytes], rounds: int, size: int) -> Iterator[bytes]:
    number = 0
    pending: list[bytes] = []
    for _ in range(rounds):
        for line in lines:
            pending.append(line.replace(NUMBER, b"%09d" % number, 1))
            number += 1
            if len(pending) >= size:
                yield b"".join(pending)
                pending = []
    yield b"".join(pending)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


if __name__ == "__main__":
    main()
