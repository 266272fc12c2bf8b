"""Where ``callboard up`` is reached: on an address and a Unix socket, by who has its token or is its user."""

import json
import socket
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import open_websocket_url

from protocols.port_file import PortFile
from tests.keeper_client import DEADLINE
from tests.running import callboard
from tests.standing_fleet import Up, up


def port_file(folder: Path) -> PortFile:
    found = json.loads((folder / ".callboard" / "port.json").read_text())
    return PortFile(**found)


def token(folder: Path) -> str:
    return (folder / ".callboard" / "token").read_text().strip()


def call(fleet: Up, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """The answers to these calls, one after the other, on one WebSocket over TCP."""
    answers = []

    async def ask() -> None:
        url = port_file(fleet.cwd).url.replace("http", "ws") + "/rpc"
        headers = [(b"authorization", b"Bearer " + token(fleet.cwd).encode())]
        async with open_websocket_url(url, extra_headers=headers) as connection:
            for number, (method, params) in enumerate(calls):
                request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                await connection.send_message(json.dumps(request))
                answers.append(json.loads(await connection.get_message()))

    trio.run(ask)
    return answers


def test_who_has_the_token_calls_its_methods_and_a_key_is_used_once_also_behind_a_kill(tmp_path: Path) -> None:
    spawn = ("worker.spawn", {"task": {"command": ["sleep", "1000"]}, "cwd": str(tmp_path), "key": "once"})
    with up(tmp_path) as killed:
        info, first, second = call(killed, ("system.info", {}), spawn, spawn)
        killed.process.kill()
        killed.process.wait()
        with up(tmp_path) as fleet:
            third, listed, stopped = call(fleet, spawn, ("worker.list", {}), ("worker.stop", {"task": "sleep"}))

    assert info["result"]["run"] == killed.fleet.name
    assert first["result"]["task"] == "sleep"
    assert first["result"] == second["result"] == third["result"]
    assert [line["task"] for line in listed["result"]["workers"]] == ["sleep"]
    assert stopped["result"]["attempt"] == 1


def test_its_token_and_its_sockets_are_for_its_user_alone_and_the_token_stays_the_same(tmp_path: Path) -> None:
    with up(tmp_path) as killed:
        first = token(tmp_path)
        killed.process.kill()
        killed.process.wait()
    with up(tmp_path):
        state = tmp_path / ".callboard"

        assert token(tmp_path) == first
        assert port_file(tmp_path).socket == str(state / "port.sock")
        for name in ("token", "port.json", "port.sock", "up.lock"):
            assert stat.S_IMODE((state / name).lstat().st_mode) == 0o600, name


def test_without_the_token_nothing_is_told(tmp_path: Path) -> None:
    with up(tmp_path):
        answer = httpx.get(port_file(tmp_path).url + "/api/workers", timeout=DEADLINE, trust_env=False)

    assert answer.status_code == 401


def test_where_its_port_is_taken_it_takes_another_one_and_says_so(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        number = taken.getsockname()[1]
        with up(tmp_path, "--port", str(number)) as fleet:
            fleet.wait_until(lambda: f"port {number} is taken" in fleet.stderr)
            assert not port_file(tmp_path).url.endswith(f":{number}")


@pytest.mark.parametrize(
    ("options", "settings", "problem"),
    [
        (["--host", "0.0.0.0"], "", 'port.host "0.0.0.0": others can reach it'),
        (["--host", "no-such-host.invalid"], "", 'port.host "no-such-host.invalid": others can reach it'),
        ([], '[port]\ncertificate = "x.pem"\n', "port.certificate"),
    ],
    ids=["all addresses", "a name", "no certificate"],
)
def test_an_address_that_cannot_be_is_told_before_anything_starts(
    tmp_path: Path, options: list[str], settings: str, problem: str
) -> None:
    (tmp_path / "callboard.toml").write_text(settings)

    done = callboard(tmp_path, "up", *options, code=2)

    assert problem in done.stderr
    assert [path.name for path in (tmp_path / ".callboard").iterdir() if path.is_dir()] == []


def test_a_token_that_others_could_have_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".callboard").mkdir(mode=0o700)
    (tmp_path / ".callboard" / "token").symlink_to("/etc/hostname")

    done = callboard(tmp_path, "up", "--port", "0", code=2)

    assert "remove it, and callboard up makes a new one" in done.stderr
