"""The real OpenCode server with the scripted model: that the harness works, and what `ServerPool` makes of it."""

import json
import os
import signal
import subprocess
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.opencode_client import OpenCodeClient
from actors.opencode_process import free_port
from actors.server_messages import ServerGone
from protocols.agents import Agent
from protocols.errors import ServerError
from protocols.opencode import TESTED_VERSIONS
from tests.keeper_client import is_alive
from tests.model_script import Step, drop, echo, edit, finish, junk, refuse, run, say, script, spawn, think, write
from tests.opencode import OpenCode, opencode_config, opencode_environment, opencode_program
from tests.process_trees import wait_until
from tests.scripted_model import ScriptedModel
from tests.server_pools import open_pools

pytestmark = [pytest.mark.opencode, pytest.mark.deadline(90)]


def _session(server: OpenCode, folder: Path) -> str:
    session: str = server.ask(f"/session?directory={folder}", {"title": "a test"})["id"]
    return session


def _prompt(server: OpenCode, folder: Path, *steps: Step) -> dict[str, Any]:
    """The last message, once the session is idle."""
    body = {"parts": [{"type": "text", "text": script(*steps)}]}
    message: dict[str, Any] = server.ask(f"/session/{_session(server, folder)}/message", body)
    return message


def _text(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def _agent(model: ScriptedModel) -> Agent:
    return Agent(name="oc", command=(opencode_program(),), config=json.dumps(opencode_config(model.url)))


def test_it_is_of_the_version_that_callboard_says_it_was_tested_with(server: OpenCode) -> None:
    assert server.ask("/global/health")["version"] in TESTED_VERSIONS


def test_a_conversation_goes_as_the_script_says(server: OpenCode, tmp_path: Path) -> None:
    file = tmp_path / "f"
    steps = (think("hm"), run("echo hi"), write(str(file), "one"), edit(str(file), "one", "two"))
    message = _prompt(server, tmp_path, *steps, spawn(run("echo from a child"), echo()), echo())

    assert message["info"]["finish"] == "stop"
    assert "from a child" in _text(message)
    assert file.read_text() == "two"


def test_the_end_of_a_message_is_what_the_script_makes_it(server: OpenCode, tmp_path: Path) -> None:
    assert _prompt(server, tmp_path, say("x"), finish("length"))["info"]["finish"] == "length"
    assert _prompt(server, tmp_path, refuse(401))["info"]["error"]["data"]["statusCode"] == 401
    assert _prompt(server, tmp_path, junk())["info"]["error"]["name"] == "UnknownError"
    assert _text(_prompt(server, tmp_path, refuse(429, times=1, retry_after="1"), say("back"))) == "back"
    assert _text(_prompt(server, tmp_path, drop(times=1), say("again"))) == "again"
    assert len(_text(_prompt(server, tmp_path, say("0123456789" * 20_000, size=4096)))) == 200_000


def test_who_does_not_know_the_password_is_refused(server: OpenCode) -> None:
    stranger = OpenCode(server.folder, server.port, "guessed", server.environment)

    with pytest.raises(urllib.error.HTTPError, match="401"):
        stranger.ask("/global/health")


async def test_a_managed_server_comes_back_at_its_port_and_runs_a_session_and_leaves_nothing(
    model: ScriptedModel, tmp_path: Path
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    opened = open_pools(tmp_path, _agent(model), environ=opencode_environment(home))
    async with opened as pools, pools.pool.lease(str(work)) as lease:
        os.kill((await pools.ready()).pid, signal.SIGKILL)
        ready = await pools.ready(2)
        client = OpenCodeClient(lease.endpoint)
        session = json.loads(await client.create_session(str(work), "a"))["id"]
        steps = script(run("touch began; sleep 1000"))
        await client.prompt(session, json.dumps({"parts": [{"type": "text", "text": steps}]}).encode())
        await trio.to_thread.run_sync(wait_until, (work / "began").exists)
        await trio.to_thread.run_sync(wait_until, lambda: len(pools.living()) >= 2)  # in mid-exec one shows no mark
        before = pools.living()

    assert (ready.boot, ready.endpoint, ready.version) == (2, lease.endpoint, TESTED_VERSIONS[-1])
    assert ready.pid in before and len(before) >= 2 and not any(map(is_alive, before)), "server and tool"
    assert pools.told[-1] == ServerGone("oc-1", 2, "nobody needs it any more", None)


async def test_a_real_server_of_somebody_else_is_used_and_a_wrong_password_told(
    server: OpenCode, tmp_path: Path
) -> None:
    agent = Agent(name="there", attach=server.url, password_env="SECRET")
    opened = open_pools(tmp_path / "a", agent, environ={"SECRET": server.password})
    async with opened as pools, pools.pool.lease("/tmp") as lease:
        assert lease.endpoint == server.endpoint
    async with open_pools(tmp_path / "b", agent, environ={"SECRET": "guessed"}) as pools:
        with pytest.raises(ServerError, match=r"SECRET.*is that its password"):
            async with pools.pool.lease("/tmp"):
                pass

    assert server.process.poll() is None


def test_a_real_server_whose_port_is_taken_says_what_we_take_for_that(server: OpenCode) -> None:
    done = subprocess.run(
        [opencode_program(), "serve", "--hostname", "127.0.0.1", "--port", str(server.port)],
        env=server.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "ServeError" in done.stderr
    assert free_port() != server.port
