"""The HTTP side of a real ``callboard up``: workers begun, read and ended by it; events that go on over ``kill -9``."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trio

from protocols.event_codec import encode_record
from protocols.events import RunEnded, WorkerOutput
from tests.http_side import EventReader
from tests.keeper_client import DEADLINE
from tests.standing_fleet import Up, up
from tests.test_up_port import port_file, token


@contextmanager
def _client(fleet: Up) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {token(fleet.cwd)}"}
    with httpx.Client(base_url=port_file(fleet.cwd).url, headers=headers, timeout=DEADLINE, trust_env=False) as client:
        yield client


def _begin(client: httpx.Client, folder: Path, name: str, script: str) -> None:
    task = {"id": name, "command": ["sh", "-c", script]}
    answer = client.post("/api/workers", json={"task": task, "cwd": str(folder)}, headers={"idempotency-key": name})
    assert answer.status_code == 201, answer.text


def _follow(fleet: Up, after: str, last: str) -> list[tuple[str, bytes]]:
    """Ids and texts of the records behind a cursor, up to the first of the type ``last``, or to the end."""
    place = urlsplit(port_file(fleet.cwd).url)
    headers = {"host": place.netloc, "authorization": f"Bearer {token(fleet.cwd)}", "last-event-id": after}

    async def read() -> list[tuple[str, bytes]]:
        async with await trio.open_tcp_stream(place.hostname or "", place.port or 0) as stream:
            reader = EventReader(stream)
            await reader.begin("/api/events?workers=all", headers)
            while not any(json.loads(each.data)["type"] == last for each in reader.records) and await reader.read():
                pass
            return [(each.id, each.data) for each in reader.records]

    return trio.run(read)


def test_a_worker_is_begun_read_and_ended_over_http(tmp_path: Path) -> None:
    with up(tmp_path) as fleet, _client(fleet) as client:
        _begin(client, tmp_path, "talk", "seq 200000; sleep 1000")
        fleet.wait_for_output("talk", b"\n200000\n")
        whole = client.get("/api/workers/talk/output")
        part = client.get("/api/workers/talk/output", headers={"range": "bytes=1000000-1000009"})
        wrong = client.get("/api/workers/tlk")
        stopped = client.post("/api/workers/talk/stop", json={"grace": 0, "reason": "enough"})
        told = client.get("/api/workers", params={"status": "stopped"}).json()["workers"]

    wanted = "".join(f"{number}\n" for number in range(1, 200_001)).encode()
    assert hashlib.sha256(whole.content).digest() == hashlib.sha256(wanted).digest()
    assert part.content == wanted[1_000_000:1_000_010]
    assert (wrong.status_code, wrong.json()["where"]) == (404, "GET /api/workers/tlk")
    assert stopped.json()["attempt"] == 1
    assert [(line["task"], line["signal"]) for line in told] == [("talk", "SIGKILL")]


def test_what_is_sent_to_a_worker_is_told_until_it_was_taken(tmp_path: Path) -> None:
    with up(tmp_path) as fleet, _client(fleet) as client:
        task = {"id": "hear", "command": ["head", "-n", "1"], "stdin": "pipe"}
        client.post("/api/workers", json={"task": task, "cwd": str(tmp_path)}).raise_for_status()
        sent = client.post("/api/workers/hear/commands", json={"action": {"kind": "text", "text": "hello"}})
        assert sent.status_code == 202, sent.text
        fleet.wait_for_output("hear", b"hello\n")
        told = client.get(sent.headers["location"]).json()
        listed = client.get("/api/workers/hear/commands").json()["commands"]

    assert (told["task"], told["what"]) == ("hear", listed[0]["what"])
    assert told["command"] == listed[0]["command"] == sent.json()["command"]


@pytest.mark.deadline(90)
def test_who_follows_events_goes_on_behind_a_kill_of_the_supervisor_and_misses_nothing(tmp_path: Path) -> None:
    """Two starts of a supervisor, and what a worker says meanwhile."""
    with up(tmp_path) as killed:
        with _client(killed) as client:
            _begin(client, tmp_path, "talk", "while :; do echo x; sleep 0.02; done")
        killed.wait_for(WorkerOutput, "talk")
        seen = _follow(killed, f"{killed.fleet.name}:0", "worker.output")
        killed.process.kill()
        killed.process.wait()
        with up(tmp_path) as fleet:
            seen += _follow(fleet, seen[-1][0], "run.resumed")
            with _client(fleet) as client:
                client.post("/api/workers/talk/kill")
            seen += _follow(fleet, seen[-1][0], "worker.exited")
            fleet.signal(15)
            fleet.wait_for(RunEnded)
            records = fleet.records()

    assert [id_ for id_, _ in seen] == [f"{killed.fleet.name}:{seq}" for seq in range(1, len(seen) + 1)]
    assert [data for _, data in seen] == [encode_record(record) for record in records[: len(seen)]]
