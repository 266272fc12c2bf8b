"""Runs whose tasks are sessions on the real OpenCode server, from the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.events import WorkerExited, WorkerStarted
from protocols.session_events import SessionEnded
from tests.model_script import run, say, script
from tests.opencode import OpenCode, open_opencode, opencode_config, opencode_program
from tests.running import running, task
from tests.scripted_model import ScriptedModel, open_model

pytestmark = pytest.mark.opencode


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with open_model() as model:
        yield model


@pytest.fixture(scope="module")
def server(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCode]:
    with open_opencode(tmp_path_factory.mktemp("opencode"), model.url) as server:
        yield server


def attached(server: OpenCode) -> str:
    return f'[agents.coder]\nattach = "{server.url}"\npassword_env = "SECRET"\n'


def managed(model: ScriptedModel, **keys: object) -> str:
    """A server that callboard starts itself."""
    said = {"command": [opencode_program()], "env": {"HOME": "HOME_OF_TESTS"}, "config": opencode_config(model.url)}
    return task("x", [], **said, **keys).replace("[[tasks]]\n", "[agents.coder]\n")


def session(name: str, *prompts: str, **keys: object) -> str:
    lines = task(name, ["-"], agent="coder", prompt=list(prompts), **keys).splitlines()
    return "\n".join(line for line in lines if not line.startswith("command ")) + "\n"


def test_tasks_with_prompts_run_as_sessions_of_a_server_that_is_there(server: OpenCode, tmp_path: Path) -> None:
    plan = (
        attached(server),
        session("first", script(run("echo result > made"), say("I made it."))),
        session("second", script(run("cat made"), say("I read it.")), needs=["first"]),
        task("third", "cat made", needs=["second"]),
    )
    with running(tmp_path, *plan, env={"SECRET": server.password}) as running_plan:
        running_plan.finish()

        assert running_plan.spool("third") == b"result\n"
        assert "I made it." in running_plan.spool("first", stream="session").decode()
        assert [event.outcome for event in running_plan.events(SessionEnded, "second")] == ["completed"]
        assert running_plan.events(WorkerStarted, "first")[0].pid == 0
        assert running_plan.events(WorkerExited, "first")[0].session_bytes > 0
        log = running_plan.folder.attempt(running_plan.events(WorkerExited, "first")[0].worker, 1) / "session-log.json"
        assert json.loads(log.read_bytes())["events"]
