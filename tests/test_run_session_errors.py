"""What goes wrong with sessions, from the command line: all of it in one run, most of it on one real server."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from protocols.events import WorkerAction
from protocols.server_events import ServerEnded
from protocols.session_events import Outcome, SessionEnded, SessionPrompted, SessionRetry, SessionStarted
from tests.model_script import drop, echo, finish, gate, refuse, run, say, script
from tests.opencode import OpenCode, open_opencode, opencode_program
from tests.proxy_thread import proxy_in_thread
from tests.running import RunningPlan, callboard, running, table
from tests.scripted_model import ScriptedModel, open_model
from tests.session_checks import find_session_faults
from tests.session_plans import attached, managed, session

pytestmark = [pytest.mark.opencode, pytest.mark.deadline(110)]  # two servers start, and one that is busy is slow
_PATIENCE = 100.0
_SETTINGS = '[liveness]\nheartbeat = "100ms"\n'
_STALL: dict[str, Any] = {"quiet_after": "300ms", "stalled_after": "1s", "on_stalled": ["fail"], "grace": "1s"}
_HOLDER = """\
import socket, sys, time
held = socket.create_server(("127.0.0.1", int(sys.argv[1])))
open(sys.argv[2], "w").close()
time.sleep(1000)
"""
_TAKEN = """\
import os, subprocess, sys, time
holder, held, program = sys.argv[1:4]
if not os.path.exists(held):
    subprocess.Popen([sys.executable, holder, sys.argv[-1], held])
    while not os.path.exists(held):
        time.sleep(0.01)
os.execv(program, [program, *sys.argv[4:]])
"""
"""The program of a server whose port somebody else takes in the last moment; not so the second time."""


@dataclass(frozen=True)
class Done:
    run: RunningPlan
    server: OpenCode

    def end(self, name: str) -> SessionEnded:
        (end,) = self.run.events(SessionEnded, name)
        return end

    def outcome(self, name: str) -> tuple[str, Outcome]:
        return self.run.task(name).status, self.end(name).outcome

    def reason(self, name: str) -> str:
        return self.run.task(name).reason


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """The whole run, which is over."""
    folder = tmp_path_factory.mktemp("run")
    lie = (b'"version":"1.18.', b'"version":"9.18.')
    with (
        open_model() as model,
        open_opencode(folder / "opencode", model.url) as server,
        proxy_in_thread(server.port, lie=lie) as liar,
        running(
            folder,
            *_plan(folder, model, server, liar.url),
            env={"SECRET": server.password, "WRONG": "guessed"},
            settings=_SETTINGS,
        ) as running_plan,
    ):
        running_plan.wait_until(lambda: model.arrived("twice") == 1, _PATIENCE)
        (started,) = running_plan.events(SessionStarted, "twice")
        body = {"parts": [{"type": "text", "text": script(say("For somebody else."))}]}
        server.ask(f"/session/{started.session}/prompt_async", body)
        model.open("twice")
        running_plan.process.wait(_PATIENCE)
        running_plan.finish(1)
        yield Done(running_plan, server)


def _plan(folder: Path, model: ScriptedModel, server: OpenCode, liar: str) -> list[str]:
    (folder / "repository").mkdir()
    subprocess.run(["git", "init", "--quiet", folder / "repository"], check=True)
    (folder / "holder.py").write_text(_HOLDER)
    (folder / "taken.py").write_text(_TAKEN)
    names = ("taken.py", "holder.py", "held")
    taken = [sys.executable, *(str(folder / name) for name in names), opencode_program()]
    dying = ["sh", "-c", "echo no license >&2; exit 3"]
    return [
        "[defaults]\nconcurrency = 16\n",
        attached(server.url),
        attached(server.url, name="stranger", variable="WRONG"),
        attached(liar, name="odd"),
        managed(model, Path(server.environment["HOME"]), name="dying", command=dying),
        managed(model, Path(server.environment["HOME"]), name="taken", command=taken),
        session("refused", script(refuse(401, "no such key"))),
        session("limited", script(refuse(429, "slow down", times=1, retry_after="1"), say("Not limited any more."))),
        session("broken", script(refuse(500, "I fell", times=1), say("Not broken any more."))),
        session("dropped", script(say("Half of i"), drop(times=1), say("All of it."))),
        session("long", script(say("It goes on and"), finish("length"))),
        session("unknown-model", script(say("x")), model="local/none"),
        session("late", script(say("Soon."), gate("never")), timeout="3s", grace="1s"),
        session("stalled", script(say("Soon."), gate("never")), **_STALL),
        session("twice", script(say("For you. "), gate("twice"), run("echo mine"), echo())),
        session("repository", script(run("git rev-parse --show-toplevel"), echo()), cwd="repository"),
        session("no-repository", script(run("git rev-parse --show-toplevel; pwd"), echo())),
        *(session(name, script(say("x")), agent=name) for name in ("stranger", "dying")),
        *(session(name, script(say("It works.")), agent=name) for name in ("odd", "taken")),
    ]


def test_a_key_that_is_refused_fails_the_task_with_the_words_of_the_provider(done: Done) -> None:
    end = done.end("refused")

    assert (end.outcome, end.code, end.status, end.retryable) == ("failed", "APIError", 401, False)
    assert "no such key" in done.reason("refused")


@pytest.mark.parametrize(
    ("name", "said", "text"),
    [("limited", "slow down", "Not limited"), ("broken", "I fell", "Not broken"), ("dropped", "", "All of it.")],
)
def test_what_the_server_tries_again_is_told_and_then_succeeds(done: Done, name: str, said: str, text: str) -> None:
    assert done.outcome(name) == ("succeeded", "completed")
    (retry,) = done.run.events(SessionRetry, name)
    assert retry.number == 1
    assert said in retry.message
    assert retry.next_at > retry.at - 1.0
    assert text in done.run.spool(name, stream="session").decode()


def test_an_answer_that_is_cut_off_at_the_models_limit_is_no_success(done: Done) -> None:
    end = done.end("long")

    assert (end.outcome, end.code) == ("failed", "length")
    assert "cut off" in done.reason("long")
    assert "It goes on and" in done.run.spool("long", stream="session").decode()


def test_a_model_that_nobody_has_fails_the_task_and_is_named(done: Done) -> None:
    assert done.end("unknown-model").outcome == "failed"
    assert "none" in done.reason("unknown-model")


def test_a_model_that_falls_silent_is_ended_by_the_time_of_the_task(done: Done) -> None:
    assert done.outcome("late") == ("timed-out", "timed-out")


def test_a_model_that_falls_silent_is_found_to_be_stalled(done: Done) -> None:
    assert [event.action for event in done.run.events(WorkerAction, "stalled")] == ["fail"]
    assert done.outcome("stalled") == ("failed", "aborted")
    assert done.reason("stalled").startswith("stalled: silent for ")


def test_a_prompt_of_somebody_else_while_ours_is_busy_changes_nothing_about_its_end(done: Done) -> None:
    assert done.outcome("twice") == ("succeeded", "completed")
    assert len(done.run.events(SessionPrompted, "twice")) == 1
    assert "For you. " in done.run.spool("twice", stream="session").decode()


def test_a_directory_may_be_a_repository_or_not(done: Done) -> None:
    assert done.outcome("repository") == done.outcome("no-repository") == ("succeeded", "completed")
    assert f"{done.run.cwd}/repository" in done.run.spool("repository", stream="session").decode()
    assert f"{done.run.cwd}" in done.run.spool("no-repository", stream="session").decode()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stranger", "agents.stranger.password_env"),
        ("dying", "no license"),
    ],
)
def test_a_server_that_cannot_be_had_fails_the_task_with_what_to_do(done: Done, name: str, said: str) -> None:
    assert done.run.task(name).status == "failed"
    assert said in done.reason(name)
    assert "guessed" not in done.reason(name)
    assert done.run.events(SessionStarted, name) == []


def test_a_program_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    plan = table("[agents.coder]", {"command": ["/nowhere/opencode"]}), session("a", "x")
    (tmp_path / "plan.toml").write_text("\n".join(plan))

    done = callboard(tmp_path, "run", "plan.toml", code=2)

    assert 'agents.coder.command: "/nowhere/opencode": no such file' in done.stderr


def test_a_server_whose_port_is_taken_by_somebody_else_is_started_at_another_one(done: Done) -> None:
    assert done.outcome("taken") == ("succeeded", "completed")
    first = next(event for event in done.run.events(ServerEnded) if event.server == "taken-1")
    assert "port" in first.why


def test_a_server_of_an_unknown_version_is_used_and_told(done: Done) -> None:
    assert done.outcome("odd") == ("succeeded", "completed")
    assert b"OpenCode 9.18." in done.run.stdout
    assert b"callboard was tested with 1.18." in done.run.stdout


def test_each_prompt_of_all_of_them_has_one_end(done: Done) -> None:
    faults = find_session_faults(done.run, done.server)

    joined = "twice attempt 1: "  # its answer is that of the prompt that joined it
    assert [fault for fault in faults if not fault.startswith(joined)] == []
