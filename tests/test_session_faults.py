"""Sessions on the real server through a connection that is spoilt: each prompt ends once, and nothing of it is lost."""

from pathlib import Path
from typing import Any

import pytest
import trio

from protocols.agents import Agent
from protocols.session_events import SessionEnded, SessionPrompted, SessionStarted
from tests.fault_proxy import faults, open_proxy
from tests.model_script import gate, run, say, script, think
from tests.opencode import OpenCode
from tests.scripted_model import ScriptedModel
from tests.session_desk import Attempt, open_desk

pytestmark = [pytest.mark.opencode, pytest.mark.deadline(90)]


def agent_of(url: str) -> Agent:
    return Agent(name="coder", attach=url, password_env="SECRET")


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [
        part["text"]
        for message in messages
        if message["info"]["role"] == "assistant"
        for part in message["parts"]
        if part["type"] == "text"
    ]


def check(server: OpenCode, attempt: Attempt, prompts: int) -> None:
    """One end for each prompt, sent once, and all that the server has of it in the spool."""
    prompted, ends = attempt.of(SessionPrompted), attempt.of(SessionEnded)
    assert [event.message for event in ends] == [event.message for event in prompted]
    assert [event.outcome for event in ends] == ["completed"] * prompts
    session = attempt.of(SessionStarted)[0].session
    said = server.ask(f"/session/{session}/message")
    users = [message["info"]["id"] for message in said if message["info"]["role"] == "user"]
    assert users == [event.message for event in prompted]
    assert all(text in attempt.spool for text in texts(said))


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_to_the_connection_each_prompt_ends_once_and_its_text_is_the_server_s(
    server: OpenCode, tmp_path: Path, seed: int
) -> None:
    async with (
        open_proxy(server.port, faults(seed, 6), seed) as proxy,
        open_desk(
            tmp_path / "fleet",
            agent_of(proxy.url),
            tmp_path,
            environ={"SECRET": server.password},
            patience=3.0,
            look_every=0.5,
        ) as desk,
    ):
        attempts = []
        for number in range(3):
            steps = think("so "), say(f"{number} says this. ", times=40, size=9), run("echo x"), say("End.")
            attempts.append(await desk.spawn(script(*steps), script(say(f"{number} says more."))))
        for attempt in attempts:
            assert (await attempt.end()).code == 0
            check(server, attempt, 2)


async def test_a_prompt_that_ends_while_nobody_listens_is_found_to_have_ended(
    server: OpenCode, model: ScriptedModel, tmp_path: Path
) -> None:
    environ = {"SECRET": server.password}
    async with (
        open_proxy(server.port) as proxy,
        open_desk(tmp_path / "fleet", agent_of(proxy.url), tmp_path, environ=environ, patience=3.0) as desk,
    ):
        attempt = await desk.spawn(script(say("Before. "), gate("away"), say("After.")))
        await attempt.until(SessionPrompted)
        await model.wait_reached("away")
        proxy.down = True
        await proxy.cut()
        model.open("away")
        session = attempt.of(SessionStarted)[0].session
        await trio.to_thread.run_sync(_until_idle, server, session, tmp_path)
        proxy.down = False
        ended = await attempt.end()

    assert ended.code == 0
    assert attempt.of(SessionEnded)[0].reconciled
    check(server, attempt, 1)


def _until_idle(server: OpenCode, session: str, directory: Path) -> None:
    while session in server.ask(f"/session/status?directory={directory}"):
        pass
