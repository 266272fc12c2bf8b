"""A small HTTP server with the event stream of OpenCode: each connection gets what the test wrote for it."""

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.stream_server import CONNECTED, HEARTBEAT

__all__ = ["EventServer", "open_event_server"]

_PATIENCE = 25.0


@dataclass
class EventServer:
    url: str
    last: threading.Event = field(default_factory=threading.Event)

    def wait_for_last(self) -> None:
        """Return when the last stream was opened: then those before it were read to their ends."""
        assert self.last.wait(_PATIENCE)


@contextlib.contextmanager
def open_event_server(*streams: Sequence[bytes]) -> Iterator[EventServer]:
    """Each connection gets the next of ``streams``, which is then cut off; but the last stays open."""
    left, over, lock = list(streams), threading.Event(), threading.Lock()
    opened = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

        def do_GET(self) -> None:
            if self.path.startswith("/global/event"):
                with contextlib.suppress(ConnectionError):
                    self._stream()
            else:
                answers = {"/global/health": {"healthy": True, "version": "1"}, "/session/status": {}}
                self._answer(answers.get(self.path.partition("?")[0], []))

        def _answer(self, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self) -> None:
            with lock:
                last = len(left) == 1
                events = left[0] if last else left.pop(0)
            if last:
                opened.set()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for event in (CONNECTED, *events):
                self._chunk(event)
            while last and not over.wait(0.1):
                self._chunk(HEARTBEAT)
            self.close_connection = True

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield EventServer(f"http://127.0.0.1:{server.server_port}", opened)
        finally:
            over.set()
            server.shutdown()
            thread.join()
