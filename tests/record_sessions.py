"""Makes ``tests/recordings/*.jsonl`` again: what the real OpenCode server says in the cases of `CASES`.

Run it as ``python -m tests.record_sessions [NAME …]``. A row is one of ``{"at", "event"}``, ``{"at", "prompt",
"text"}``, ``{"at", "abort"}``, ``{"at", "restarted"}`` and ``{"at", "snapshot"}``, the last of which is what the server
says at the end; ``at`` in Unix time.
"""

import base64
import contextlib
import json
import secrets
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocols.opencode_dialect import make_message_id
from tests import model_script as does
from tests.opencode import OpenCode, open_opencode
from tests.scripted_model import ScriptedModel, open_model

__all__ = ["CASES"]

FOLDER = Path(__file__).with_name("recordings")
_PATIENCE = 120.0
_SETTLE = 1.0


@dataclass
class Recorder:
    """One session on the real server, and all that is said of it."""

    server: OpenCode
    model: ScriptedModel
    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    session: str = ""
    ours: set[str] = field(default_factory=set)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def begin(self) -> None:
        self.session = self.server.ask(f"/session?directory={self.folder}", {"title": "A session"})["id"]
        self.ours.add(self.session)

    def take(self, frame: dict[str, Any]) -> None:
        payload = frame["payload"]
        properties = payload.get("properties", {})
        session = properties.get("sessionID", "")
        if properties.get("info", {}).get("parentID", "") in self.ours and payload["type"].startswith("session."):
            self.ours.add(session)
        with self._news:
            if session in self.ours and payload["type"] != "sync":
                self.rows.append({"at": time.time(), "event": payload})
                self._news.notify_all()

    def note(self, **row: object) -> None:
        with self._news:
            self.rows.append({"at": time.time(), **row})

    def prompt(self, *steps: does.Step, **more: object) -> None:
        message = make_message_id(time.time(), 0, secrets.token_bytes(14))
        text = does.script(*steps)
        self.note(prompt=message, text=text)
        body = {"messageID": message, "parts": [{"type": "text", "text": text}], **more}
        self.server.ask(f"/session/{self.session}/prompt_async?directory={self.folder}", body)

    def abort(self) -> None:
        self.note(abort=True)
        self.server.ask(f"/session/{self.session}/abort?directory={self.folder}", {})

    def wait(self, name: str, count: int = 1, session: str = "") -> dict[str, Any]:
        """The properties of the so-manieth event of this type, of the session or of another one."""

        def found() -> list[dict[str, Any]]:
            events = (row["event"] for row in self.rows if "event" in row)
            wanted = session or self.session
            return [
                event["properties"]
                for event in events
                if event["type"] == name and wanted in ("*", event["properties"]["sessionID"])
            ]

        with self._news:
            assert self._news.wait_for(lambda: len(found()) >= count, _PATIENCE), f"no {name}"
            return found()[count - 1]

    def look(self) -> None:
        for each in sorted(self.ours, reverse=True):
            self.note(snapshot=self._snapshot(each))

    def _snapshot(self, session: str) -> dict[str, Any]:
        def ask(path: str) -> Any:
            return self.server.ask(f"{path}?directory={self.folder}")

        try:
            known = bool(ask(f"/session/{session}"))
        except urllib.error.HTTPError:
            known = False
        of = f"/session/{session}"
        return {
            "session": session,
            "known": known,
            "status": ask("/session/status").get(session),
            "messages": ask(f"{of}/message") if known else [],
            "children": ask(f"{of}/children") if known else [],
            "permissions": [each for each in ask("/permission") if each["sessionID"] in self.ours],
            "questions": [each for each in ask("/question") if each["sessionID"] in self.ours],
            "todos": ask(f"{of}/todo") if known else [],
        }


def _simple(recorder: Recorder) -> None:
    path = recorder.folder / "a.txt"
    recorder.prompt(
        does.think("Let me think about it. ", times=3, size=6),
        does.say("First I look around.\n", size=5),
        does.run("echo one; sleep 0.3; echo two"),
        does.write(str(path), "old\n"),
        does.read(str(path)),
        does.edit(str(path), "old", "new"),
        does.run("echo bad >&2; exit 3"),
        does.say("All is done.", size=4),
    )
    recorder.wait("session.idle")


def _together(recorder: Recorder) -> None:
    recorder.prompt(does.together(does.run("echo one; sleep 0.5; echo two"), does.run("echo three")), does.say("Both."))
    recorder.wait("session.idle")


def _children(recorder: Recorder) -> None:
    path = recorder.folder / "b.txt"
    first = does.spawn(does.say("I am the first.", size=3), does.run("echo child"), does.say("One ends."), name="first")
    second = does.spawn(does.think("Hm. ", size=2), does.write(str(path), "x"), does.say("Two ends."), name="second")
    recorder.prompt(does.say("Two of you."), does.together(first, second), does.echo())
    recorder.wait("session.idle")


def _child_fails(recorder: Recorder) -> None:
    recorder.prompt(does.spawn(does.refuse(401, "no key")), does.say("It failed."))
    recorder.wait("session.idle")


def _todos(recorder: Recorder) -> None:
    recorder.prompt(
        does.todo(one="in_progress", two="pending"), does.todo(one="completed", two="in_progress"), does.say("Half.")
    )
    recorder.wait("session.idle")


def _length(recorder: Recorder) -> None:
    recorder.prompt(does.say("Too lo"), does.finish("length"))
    recorder.wait("session.idle")


def _refused(recorder: Recorder) -> None:
    recorder.prompt(does.refuse(401, "wrong key"))
    recorder.wait("session.idle", 2)


def _retried(recorder: Recorder) -> None:
    recorder.prompt(does.refuse(429, "too many", times=1, retry_after="1"), does.say("At last."))
    recorder.wait("session.idle")


def _dropped(recorder: Recorder) -> None:
    recorder.prompt(does.say("Half a sen"), does.drop(times=1), does.say("tence."))
    recorder.wait("session.idle")


def _junk(recorder: Recorder) -> None:
    recorder.prompt(does.say("Now "), does.junk())
    recorder.wait("session.idle", 2)


def _wrong_model(recorder: Recorder) -> None:
    recorder.prompt(does.say("Never."), model={"providerID": "local", "modelID": "nobody"})
    recorder.wait("session.error")


def _permitted(recorder: Recorder) -> None:
    recorder.prompt(does.run("echo allowed"), does.say("Thanks."))
    asked = recorder.wait("permission.asked")
    recorder.look()
    recorder.server.ask(f"/permission/{asked['id']}/reply?directory={recorder.folder}", {"reply": "once"})
    recorder.wait("session.idle")


def _rejected(recorder: Recorder) -> None:
    recorder.prompt(does.run("echo never"), does.say("Oh."))
    asked = recorder.wait("permission.asked")
    recorder.server.ask(f"/permission/{asked['id']}/reply?directory={recorder.folder}", {"reply": "reject"})
    recorder.wait("session.idle")


def _child_asks(recorder: Recorder) -> None:
    recorder.prompt(does.spawn(does.run("echo child"), does.say("Ran.")), does.say("It ran."))
    asked = recorder.wait("permission.asked", session="*")
    recorder.server.ask(f"/permission/{asked['id']}/reply?directory={recorder.folder}", {"reply": "once"})
    recorder.wait("session.idle")


def _asked(recorder: Recorder) -> None:
    recorder.prompt(does.ask("Red or blue?", "red", "blue"), does.echo())
    asked = recorder.wait("question.asked")
    recorder.server.ask(f"/question/{asked['id']}/reply?directory={recorder.folder}", {"answers": [["blue"]]})
    recorder.wait("session.idle")


def _deleted(recorder: Recorder) -> None:
    recorder.prompt(does.run("echo never"))
    recorder.wait("permission.asked")
    recorder.server.ask(f"/session/{recorder.session}?directory={recorder.folder}", method="DELETE")
    recorder.wait("session.deleted")


def _aborted(recorder: Recorder) -> None:
    recorder.prompt(does.say("I wait."), does.run("echo begun; sleep 60"))
    while not any("begun\\n" in json.dumps(row.get("event", "")) for row in list(recorder.rows)):
        time.sleep(0.05)
    recorder.abort()
    recorder.wait("session.idle", 2)


def _aborted_text(recorder: Recorder) -> None:
    recorder.prompt(does.say("I stop in the mid", size=3), does.gate("mid"))
    recorder.model.reached("mid")
    recorder.wait("message.part.delta", 3)
    recorder.abort()
    recorder.wait("session.idle", 2)


def _aborted_retry(recorder: Recorder) -> None:
    recorder.prompt(does.refuse(500, "broken"))
    while not any(
        row.get("event", {}).get("properties", {}).get("status", {}).get("type") == "retry"
        for row in list(recorder.rows)
    ):
        time.sleep(0.05)
    recorder.abort()
    recorder.wait("session.idle")


def _aborted_parent(recorder: Recorder) -> None:
    recorder.prompt(does.spawn(does.run("echo begun; sleep 60")))
    while not any("begun\\n" in json.dumps(row.get("event", "")) for row in list(recorder.rows)):
        time.sleep(0.05)
    recorder.abort()
    recorder.wait("session.idle")


def _two(recorder: Recorder) -> None:
    recorder.prompt(does.say("One "), does.gate("two"), does.say("more."), does.run("echo x"), does.say("First."))
    recorder.model.reached("two")
    recorder.prompt(does.say("Second."))
    recorder.wait("message.updated", 3)
    recorder.model.open("two")
    recorder.wait("session.idle")


def _again(recorder: Recorder) -> None:
    recorder.prompt(does.say("First."))
    recorder.wait("session.idle")
    recorder.prompt(does.run("echo x"), does.say("Second."))
    recorder.wait("session.idle", 2)


def _disposed(recorder: Recorder) -> None:
    recorder.prompt(does.say("I am ended."), does.gate("never"))
    recorder.model.reached("never")
    recorder.server.ask(f"/instance/dispose?directory={recorder.folder}", {})
    recorder.wait("session.idle")


def _killed(recorder: Recorder) -> None:
    recorder.prompt(does.say("Before.", size=3), does.run("echo begun; sleep 60"))
    while not any("begun\\n" in json.dumps(row.get("event", "")) for row in list(recorder.rows)):
        time.sleep(0.05)
    recorder.server.kill()
    recorder.note(restarted=True)
    recorder.server.start()


CASES: dict[str, Callable[[Recorder], None]] = {
    "simple": _simple,
    "together": _together,
    "children": _children,
    "child-fails": _child_fails,
    "child-asks": _child_asks,
    "todos": _todos,
    "length": _length,
    "refused": _refused,
    "retried": _retried,
    "dropped": _dropped,
    "junk": _junk,
    "wrong-model": _wrong_model,
    "permitted": _permitted,
    "rejected": _rejected,
    "asked": _asked,
    "deleted": _deleted,
    "aborted": _aborted,
    "aborted-text": _aborted_text,
    "aborted-retry": _aborted_retry,
    "aborted-parent": _aborted_parent,
    "two": _two,
    "again": _again,
    "disposed": _disposed,
    "killed": _killed,
}
_ASKS = {"permitted", "rejected", "child-asks", "deleted"}


@contextlib.contextmanager
def _stream(server: OpenCode, recorder: Recorder) -> Iterator[None]:
    request = urllib.request.Request(f"{server.url}/global/event")
    known = base64.b64encode(f"opencode:{server.password}".encode()).decode()
    request.add_header("authorization", f"Basic {known}")
    stream = urllib.request.urlopen(request)
    connected = threading.Event()

    def read() -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for line in stream:
                if line.startswith(b"data: "):
                    recorder.take(json.loads(line[6:]))
                    connected.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert connected.wait(_PATIENCE)
    yield


def record(name: str, server: OpenCode, model: ScriptedModel, folder: Path) -> None:
    folder.mkdir()
    recorder = Recorder(server, model, folder)
    with _stream(server, recorder):
        recorder.begin()
        CASES[name](recorder)
        time.sleep(_SETTLE)
        recorder.look()
        recorder.look()
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in recorder.rows)
    (FOLDER / f"{name}.jsonl").write_text(text.replace(str(folder.parent), "/work"))


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, open_model() as model:
        for asks in (False, True):
            chosen = [name for name in names or CASES if (name in _ASKS) == asks]
            if not chosen:
                continue
            home = Path(folder) / f"server-{asks}"
            permission = {"bash": "ask"} if asks else "allow"
            with open_opencode(home, model.url, permission=permission) as server:
                for name in chosen:
                    print(name, flush=True)
                    record(name, server, model, home / name)


if __name__ == "__main__":
    main(sys.argv[1:])
