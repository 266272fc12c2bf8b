"""A program in the place of ``opencode``: ``serve --hostname H --port N``, and what its configuration wants it to do.

``mode``: ``good``; ``die`` before it listens; ``deaf`` never listens; ``hang`` listens and answers nobody; ``freeze``
answers until a file ``freeze`` is beside its configuration; ``once`` dies at each start but the
first; ``taken`` finds its port taken at the first. ``busy`` sessions are so
until they are aborted. ``tool``: a process that it starts in a session of its own, as tools are.
"""

import base64
import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["OPENCODE_CONFIG"]).parent
CONFIG: dict[str, Any] = json.loads(Path(os.environ["OPENCODE_CONFIG"]).read_text())
MODE = CONFIG.get("mode", "good")
BUSY = list(CONFIG.get("busy", []))


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if MODE == "hang" or (MODE == "freeze" and (FOLDER / "freeze").exists()):
            time.sleep(1000)
        given = self.headers.get("authorization", "")
        wanted = f"{os.environ['OPENCODE_SERVER_USERNAME']}:{os.environ['OPENCODE_SERVER_PASSWORD']}"
        if given != f"Basic {base64.b64encode(wanted.encode()).decode()}":
            self.answer(401, None)
        elif self.path == "/global/health":
            self.answer(200, {"healthy": True, "version": "9.9.9"})
        else:
            self.answer(200, {session: {"type": "busy"} for session in BUSY})

    def do_POST(self) -> None:
        session = self.path.split("/")[2]
        with (FOLDER / "aborted").open("a") as file:
            file.write(f"{session}\n")
        BUSY.remove(session)
        self.answer(200, True)

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    assert sys.argv[-5:-1] == ["serve", "--hostname", "127.0.0.1", "--port"], sys.argv
    if CONFIG.get("tool"):
        tool = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        (FOLDER / "tool").write_text(str(tool.pid))
    if MODE == "die" or (MODE == "once" and FOLDER.name != "1"):
        print("\x1b[31mno such model\x1b[0m\n", file=sys.stderr, flush=True)
        sys.exit(3)
    if MODE == "taken" and FOLDER.name == "1":
        print("\x1b[91m\x1b[1mError: \x1b[0mUnexpected error\n\nServeError", file=sys.stderr, flush=True)
        sys.exit(1)
    if MODE == "deaf":
        time.sleep(1000)
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler)
    print(f"opencode server listening on http://127.0.0.1:{sys.argv[-1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
