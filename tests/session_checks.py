"""What must hold of sessions when a run is over: one end for each prompt, its events, the texts of the server."""

import base64
import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from protocols.events import Record, WorkerExited
from protocols.session_events import SessionEnded, SessionPrompted, SessionStarted
from protocols.states import RunView
from tests.opencode import OpenCode
from tests.running import RunningPlan

__all__ = ["Heard", "SessionAttempt", "attempts_of", "find_session_faults", "listening", "texts_of"]

Message: TypeAlias = dict[str, Any]
_OVER = frozenset(("succeeded", "failed", "timed-out", "skipped", "stopped"))
_LATER = frozenset(("session.updated", "session.diff", "message.updated", "session.status", "session.idle"))
"""What the server tells of a session whose end was told already."""


@dataclass(frozen=True)
class SessionAttempt:
    """One attempt of a task, as the journal and its folder have it."""

    name: str
    folder: Path
    started: SessionStarted
    prompted: list[SessionPrompted]
    ends: list[SessionEnded]
    exits: list[WorkerExited]

    @property
    def session(self) -> str:
        return self.started.session

    @property
    def log(self) -> list[dict[str, Any]]:
        """The entries of ``session-events.json``."""
        entries: list[dict[str, Any]] = json.loads((self.folder / "session-events.json").read_bytes())["events"]
        return entries

    @property
    def events(self) -> list[dict[str, Any]]:
        """Those of the server, as they came."""
        return [entry["event"] for entry in self.log if entry["kind"] == "event"]

    @property
    def spool(self) -> str:
        return (self.folder / "session").read_text()


def attempts_of(run: RunningPlan) -> list[SessionAttempt]:
    """Those that have a session, in the order in which they began."""
    return [_attempt(run, started) for started in run.events(SessionStarted) if not started.resumed]


def _attempt(run: RunningPlan, started: SessionStarted) -> SessionAttempt:
    def of(kind: type[Any]) -> list[Any]:
        events = run.events(kind, started.worker)
        return [event for event in events if event.attempt == started.attempt]

    name = f"{started.worker} attempt {started.attempt}"
    folder = run.folder.attempt(started.worker, started.attempt)
    ends = [event for event in of(SessionEnded) if event.session == started.session]
    return SessionAttempt(name, folder, started, of(SessionPrompted), ends, of(WorkerExited))


def find_session_faults(run: RunningPlan, server: OpenCode | None) -> list[str]:
    """All that is wrong in a run that is over. ``server``: the one that has all of its sessions; None: it is gone."""
    faults = list(_tasks(run.records()))
    for attempt in attempts_of(run):
        faults += [f"{attempt.name}: {fault}" for fault in _ends(attempt)]
        if server is not None:
            said = server.ask(f"/session/{attempt.session}/message")
            faults += [f"{attempt.name}: {fault}" for fault in _texts(attempt, said)]
    return faults


def texts_of(said: Sequence[Message]) -> list[str]:
    """What answers say."""
    answers = [message for message in said if message["info"]["role"] == "assistant"]
    return [part["text"] for message in answers for part in message["parts"] if part["type"] == "text"]


def _tasks(records: Sequence[Record]) -> Iterator[str]:
    view = RunView()
    for record in records:
        view.apply(record)
    yield from (f"task {task.id} is {task.status}" for task in view.tasks.values() if task.status not in _OVER)


def _ends(attempt: SessionAttempt) -> Iterator[str]:
    ended = [event.message for event in attempt.ends]
    if len(attempt.exits) != 1:
        yield f"it exited {len(attempt.exits)} times"
    if len(set(ended)) != len(ended):
        yield f"ends are doubled: {ended}"
    if [event.message for event in attempt.prompted] != [each for each in ended if each in _messages(attempt)]:
        yield f"it was prompted with {[event.message for event in attempt.prompted]}, and these ended: {ended}"
    failed = [event.outcome for event in attempt.ends[:-1] if event.outcome != "completed"]
    if failed:
        yield f"it went on after {failed}"


def _messages(attempt: SessionAttempt) -> set[str]:
    return {event.message for event in attempt.prompted}


def _texts(attempt: SessionAttempt, said: Sequence[Message]) -> Iterator[str]:
    """No prompt was sent twice, and whatever the server has is in the spool."""
    users = [message for message in said if message["info"]["role"] == "user"]
    sent = [entry["message"] for entry in attempt.log if entry["kind"] == "prompt"]
    if (found := [message["info"]["id"] for message in users]) != [each for each in sent if each in found]:
        yield f"we sent {sent}, and the server has {found}"
    yield from (
        f"the server has {len(message['parts'])} texts of a prompt" for message in users if len(message["parts"]) != 1
    )
    spool = attempt.spool
    yield from (f"not in the spool: {text[:80]!r}" for text in texts_of(said) if text not in spool)
    completed = {event.message for event in attempt.ends if event.outcome == "completed"}
    for message in completed:
        answers = [each["info"] for each in said if each["info"].get("parentID") == message]
        if not answers or answers[-1].get("finish") != "stop" or not answers[-1]["time"].get("completed"):
            yield f"{message} is told as completed, and the server has {answers[-1:]}"


@dataclass
class Heard:
    """What somebody else heard of the same server, by session."""

    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def find_faults(self, attempt: SessionAttempt, said: Sequence[Message]) -> Iterator[str]:
        """Its log has all events in order, up to its end, none of another's, and the parts as the server has them."""
        events, heard = attempt.events, self.events[attempt.session]
        if {entry["session"] for entry in attempt.log if entry["kind"] == "event"} != {attempt.session}:
            yield "its log has events of another session"
        if events != heard[: len(events)]:
            yield f"its log has {_kinds(events)}, and we heard {_kinds(heard)}"
        if not {event["type"] for event in heard[len(events) :]} <= _LATER:
            yield f"its log lacks {_kinds(heard[len(events) :])}"
        parts = {}
        for event in events:
            if event["type"] == "message.part.updated":
                part = event["properties"]["part"]
                parts[part["id"]] = part
        if list(parts.values()) != [part for message in said for part in message["parts"]]:
            yield "its log has other parts than the server"

    def add(self, frame: bytes) -> None:
        payload = json.loads(frame)["payload"]
        session = payload.get("properties", {}).get("sessionID")
        if session:
            self.events.setdefault(session, []).append(payload)


def _kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{event['type']} {event['id']}" for event in events]


@contextmanager
def listening(server: OpenCode) -> Iterator[Heard]:
    """A reader of ``/global/event`` that knows nothing of ours."""
    known = base64.b64encode(f"opencode:{server.password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", "/global/event", headers={"authorization": f"Basic {known}"})
    answer = connection.getresponse()
    heard = Heard()

    def read() -> None:
        for line in answer:
            if line.startswith(b"data: "):
                heard.add(line.removeprefix(b"data: "))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield heard
    finally:
        connection.sock.shutdown(2)
        reader.join()
        answer.close()
        connection.close()
