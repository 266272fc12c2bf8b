"""``python -m tests.benchmarks.record``: record the stream that ``routing`` replays, from the real server.

One session that thinks, talks, runs a command, writes a file and talks again; its id is replaced by dollar signs, the
id of each event by the mark for its number, and the time of sending is added.
"""

import json
import tempfile
import urllib.request
from base64 import b64encode
from pathlib import Path

from tests.benchmarks.replay import NUMBER, STAMP
from tests.model_script import run, say, script, think, write
from tests.opencode import OpenCode, open_opencode
from tests.scripted_model import open_model

__all__ = ["main"]

_TARGET = Path(__file__).resolve().with_name("stream.jsonl")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, open_model() as model:
        folder = Path(name)
        with open_opencode(folder / "server", model.url) as server:
            (folder / "work").mkdir()
            events = _run(server, str(folder / "work"))
    _TARGET.write_bytes(b"".join(line + b"\n" for line in events))
    print(f"{len(events)} events, {_TARGET.stat().st_size} bytes")


def _run(server: OpenCode, directory: str) -> list[bytes]:
    request = urllib.request.Request(f"{server.url}/global/event")
    request.add_header("authorization", "Basic " + b64encode(f"opencode:{server.password}".encode()).decode())
    prompt = script(
        think("Let me look at what is there before I change anything. ", times=2, size=6),
        say("I will run the tests first, then write the file that was asked for. ", times=2, size=5),
        run("for i in 1 2 3; do echo test $i passed; done"),
        write(f"{directory}/result.txt", "a line of the result\n" * 40),
        say("Done: all three tests pass, and the result is written. ", times=2, size=7),
    )
    with urllib.request.urlopen(request, timeout=60) as stream:
        session = server.ask(f"/session?directory={directory}", {"title": "recorded"})["id"]
        server.ask(f"/session/{session}/prompt_async", {"parts": [{"type": "text", "text": prompt}]})
        found: list[bytes] = []
        for line in stream:
            if session.encode() in line:
                found.append(_marked(line[6:].strip(), session))
            if b"session.idle" in line:
                return found
    raise RuntimeError("the session never ended")


def _marked(event: bytes, session: str) -> bytes:
    table = json.loads(event)
    table["payload"]["id"] = "evt_" + NUMBER.decode()
    table["payload"]["properties" if "properties" in table["payload"] else "syncEvent"]["sent"] = STAMP.decode()
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    return text.replace(session.encode(), b"$" * len(session))


if __name__ == "__main__":
    main()
