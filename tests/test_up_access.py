"""A worker of ``callboard up`` may look, and neither act nor take more than it has."""

import json
import sys
from pathlib import Path

import httpx
import pytest

from protocols.events import WorkerExited
from tests.keeper_client import DEADLINE
from tests.standing_fleet import up

_TRY = """
import json, os, socket, sys
def ask(path, method, target, *headers, body=""):
    s = socket.socket(socket.AF_UNIX); s.connect(path)
    about = [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", *about, *headers, "", body]
    s.sendall("\\r\\n".join(lines).encode())
    answer = b""
    while part := s.recv(9999): answer += part
    return int(answer.split()[1])
def command(path, **params):
    s = socket.socket(socket.AF_UNIX); s.connect(path)
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "command", "params": params}).encode() + b"\\n")
    return sorted(json.loads(s.makefile().readline()))
port, control, token = sys.argv[1:]
bearer = "Authorization: Bearer " + token
print(json.dumps([
    ask(port, "GET", "/api/workers"),
    ask(port, "POST", "/api/shutdown"),
    ask(port, "POST", "/api/shutdown", bearer),
    ask(port, "POST", "/api/workers/victim/kill", bearer),
    ask(port, "POST", "/api/permissions/p", bearer, body=json.dumps({"task": "me", "reply": "once"})),
    command(control, type="stop", task="victim"),
    command(control, type="permission", task="me", permission="p", reply="once"),
]))
"""
_REFUSED = [200, 403, 403, 403, 403, ["error", "id", "jsonrpc"], ["error", "id", "jsonrpc"]]


@pytest.mark.parametrize("before", [[], ["env", "-i"], ["setsid", "env", "-i"]], ids=["", "no mark", "own session"])
def test_a_worker_can_read_and_neither_act_nor_approve_also_with_the_token_of_the_admin(
    before: list[str], tmp_path: Path
) -> None:
    with up(tmp_path) as fleet:
        fleet.spawn(id="victim", command=["sleep", "600"])
        state = tmp_path / ".callboard"
        own = [sys.executable, "-c", _TRY, str(state / "port.sock"), str(fleet.folder.control_socket), _token(state)]
        # The shell stays: what it starts descends from a process with the mark.
        fleet.spawn(id="me", command=["sh", "-c", '"$@"; exit $?', "sh", *before, *own])
        exited = fleet.wait_for(WorkerExited, "me")

        assert (exited.code, fleet.spool("me", stream="stderr")) == (0, b"")
        assert json.loads(fleet.spool("me")) == _REFUSED
        assert not fleet.events(WorkerExited, "victim")


def test_a_person_needs_no_token_on_the_unix_socket_and_one_on_the_address(tmp_path: Path) -> None:
    with up(tmp_path):
        state = tmp_path / ".callboard"
        bearer = {"Authorization": f"Bearer {_token(state)}"}
        url = json.loads((state / "port.json").read_text())["url"]
        over_unix = httpx.HTTPTransport(uds=str(state / "port.sock"))
        with (
            httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False) as tcp,
            httpx.Client(base_url=url, timeout=DEADLINE, transport=over_unix) as unix,
        ):
            assert unix.get("/api/workers").status_code == 200
            assert unix.get("/api/workers", headers={"Origin": "https://evil.example"}).status_code == 403
            assert tcp.get("/api/workers").status_code == 401
            assert tcp.get("/api/workers", headers=bearer).status_code == 200
            assert tcp.get("/api/workers", headers={**bearer, "Host": "evil.example"}).status_code == 421


def _token(state: Path) -> str:
    return (state / "token").read_text().strip()
