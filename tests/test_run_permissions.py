"""Sessions of a real run on the real server: permissions and prompts from outside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.command_file import read_command
from protocols.command_events import CommandDone
from protocols.ids import CommandId
from protocols.open_permissions import open_permissions
from protocols.session_events import SessionEnded, SessionPermission
from protocols.states import RunView
from tests.model_script import run, say, script
from tests.opencode import OpenCode, open_opencode
from tests.running import running
from tests.scripted_model import ScriptedModel
from tests.session_plans import attached, session
from tests.test_run_commands import command

pytestmark = pytest.mark.opencode


@pytest.fixture(scope="module")
def server(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCode]:
    with open_opencode(tmp_path_factory.mktemp("opencode"), model.url, permission={"bash": "ask"}) as server:
        yield server


def test_a_permission_is_allowed_and_a_prompt_added_from_outside_each_once(server: OpenCode, tmp_path: Path) -> None:
    waits = {"otherwise": "ask", "answer_within": "1h"}
    asks = session("a", script(run("touch done"), say("Well.")), permissions=waits)
    with running(tmp_path, attached(server.url), asks, env={"SECRET": server.password}) as plan:
        plan.wait_for(SessionPermission)
        view = RunView()
        for record in plan.records():
            view.apply(record)
        (asked,) = open_permissions(view)
        more = {"kind": "text", "text": script(say("And more."))}
        added = command(plan, "send", task="a", action=more, id="more", until="written")
        first = command(plan, "permission", task="a", permission=asked.permission, reply="once")
        second = command(plan, "permission", task="a", permission=asked.permission, reply="reject")
        plan.finish()

        assert added["result"]["state"] == "written"
        assert first["result"]["task"] == "a"
        assert asked.permission in second["error"]["message"]
        assert (tmp_path / "done").exists()
        assert [event.outcome for event in plan.events(SessionEnded, "a")] == ["completed", "completed"]
        assert "And more." in plan.spool("a", stream="session").decode()
        row = read_command(plan.folder.commands, CommandId("more"))
        assert row is not None
        assert (row.state, len(plan.events(CommandDone))) == ("done", 1)
