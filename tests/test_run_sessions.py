"""Runs whose tasks are sessions on the real OpenCode server, from the command line."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from protocols.events import AttemptStarting, WorkerExited, WorkerStarted
from protocols.fleet_events import KeeperStarted
from protocols.session_events import SessionEnded, SessionStarted, SessionTool
from tests.model_script import gate, refuse, run, say, script
from tests.opencode import OpenCode, opencode_config, opencode_program
from tests.process_trees import wait_until
from tests.running import RunningPlan, callboard, resumed, running, task
from tests.scripted_model import ScriptedModel
from tests.session_plans import attached, managed, session

pytestmark = [
    pytest.mark.opencode,
    pytest.mark.deadline(120),
]  # a server takes seconds to start, many on a busy machine
_SLOW = 90.0
ROOT = Path(__file__).parent.parent


def test_tasks_with_prompts_run_as_sessions_of_a_server_that_is_there(server: OpenCode, tmp_path: Path) -> None:
    plan = (
        attached(server.url),
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
        log = (
            running_plan.folder.attempt(running_plan.events(WorkerExited, "first")[0].worker, 1) / "session-events.json"
        )
        assert json.loads(log.read_bytes())["events"]


def test_a_server_is_started_for_the_sessions_of_a_run_and_ends_with_it(model: ScriptedModel, tmp_path: Path) -> None:
    plan = (
        managed(model, tmp_path / "home"),
        *(session(f"s{number}", script(run(f"echo {number}"), say(f"I am {number}."))) for number in range(4)),
    )
    with running(tmp_path, *plan) as running_plan:
        running_plan.process.wait(_SLOW)
        running_plan.finish()

        for number in range(4):
            assert f"I am {number}." in running_plan.spool(f"s{number}", stream="session").decode()


def test_a_session_goes_on_while_callboard_is_dead_and_is_taken_up_again(
    server: OpenCode, model: ScriptedModel, tmp_path: Path
) -> None:
    prompts = (script(say("Before."), gate("dead"), say("After.")), script(say("And more.")))
    plan = (attached(server.url), session("a", *prompts, durable=True))
    with running(tmp_path, *plan, env={"SECRET": server.password}) as killed:
        model.reached("dead")
        killed.process.kill()
        killed.wait()
        model.open("dead")
        with resumed(tmp_path, env={"SECRET": server.password}) as again:
            again.finish()

            assert [event.outcome for event in again.events(SessionEnded, "a")] == ["completed", "completed"]
            (started,) = again.events(SessionStarted, "a")[:1]
            text = again.spool("a", stream="session").decode()
            assert "After." in text
            assert "And more." in text
            assert len(again.events(WorkerExited, "a")) == 1
    said = server.ask(f"/session/{started.session}/message")
    assert [message["info"]["role"] for message in said] == ["user", "assistant", "user", "assistant"]


def test_a_prompt_that_would_fail_again_fails_its_task_at_once_with_the_words_of_the_server(
    server: OpenCode, tmp_path: Path
) -> None:
    plan = (attached(server.url), session("a", script(refuse(401, "no such key")), retries=2))
    with running(tmp_path, *plan, env={"SECRET": server.password}) as run_of_it:
        run_of_it.finish(1)

        assert "no such key" in run_of_it.task("a").reason
        assert len(run_of_it.task("a").attempts) == 1


def test_a_stop_aborts_the_sessions(server: OpenCode, tmp_path: Path) -> None:
    plan = (attached(server.url), session("a", script(run("sleep 1000"))))
    with running(tmp_path, *plan, env={"SECRET": server.password}) as stopped:
        stopped.wait_for(SessionTool, "a")
        stopped.signal(signal.SIGINT)
        stopped.finish(130)

        assert [event.outcome for event in stopped.events(SessionEnded, "a")] == ["aborted"]
        assert stopped.task("a").status == "stopped"


def test_the_next_look_at_a_killed_run_ends_its_sessions_on_a_server_of_somebody_else(
    server: OpenCode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = (attached(server.url), session("a", script(run("sleep 1000"))))
    with running(tmp_path, *plan, env={"SECRET": server.password}) as killed:
        started = killed.wait_for(SessionStarted, "a")
        killed.wait_for(SessionTool, "a")
        killed.process.kill()
        killed.wait()
        assert started.session in server.ask(f"/session/status?directory={tmp_path}")

        monkeypatch.setenv("SECRET", server.password)
        callboard(tmp_path, "runs")

        assert killed.events(WorkerExited, "a")[0].reason == "orphaned"
        wait_until(lambda: started.session not in server.ask(f"/session/status?directory={tmp_path}"))


def test_a_server_of_ours_goes_on_without_callboard_where_its_sessions_are_durable(
    model: ScriptedModel, tmp_path: Path
) -> None:
    prompt = script(say("Before."), gate("alone"), run("echo made > made"), say("After."))
    plan = (managed(model, tmp_path / "home"), session("a", prompt, durable=True))
    with running(tmp_path, *plan) as killed:
        _wait_for_start(killed)
        model.reached("alone")
        killed.process.kill()
        killed.wait()
        model.open("alone")
        with resumed(tmp_path) as again:
            again.process.wait(_SLOW)
            again.finish()

            assert [event.outcome for event in again.events(SessionEnded, "a")] == ["completed"]
            assert "After." in again.spool("a", stream="session").decode()
            assert (tmp_path / "made").read_text() == "made\n"


def test_a_session_whose_server_ended_with_callboard_is_tried_again_and_that_counts_for_no_retry(
    model: ScriptedModel, tmp_path: Path
) -> None:
    prompt = script(say("Before."), gate("orphaned"), say("After."))
    plan = (managed(model, tmp_path / "home"), session("a", prompt), task("b", "true", durable=True))
    with running(tmp_path, *plan) as killed:
        _wait_for_start(killed)
        model.reached("orphaned")
        killed.process.kill()
        killed.wait()
        model.open("orphaned")
        with resumed(tmp_path) as again:
            again.process.wait(_SLOW)
            again.finish()

            assert [event.reason for event in again.events(WorkerExited, "a")] == ["orphaned", "exit"]
            assert [event.outcome for event in again.events(SessionEnded, "a")] == ["lost", "completed"]


def test_a_session_whose_server_was_killed_is_lost_and_tried_again(model: ScriptedModel, tmp_path: Path) -> None:
    prompt = script(say("Before."), gate("killed"), say("After."))
    plan = (managed(model, tmp_path / "home"), session("a", prompt, retries=1, backoff="10ms"))
    with running(tmp_path, *plan) as run_of_it:
        _wait_for_start(run_of_it)
        model.reached("killed")
        (keeper,) = {record.event.pid for record in run_of_it.records() if isinstance(record.event, KeeperStarted)}
        (server,) = [each for each in run_of_it.marked() if each.pid != keeper and _is_server(each.pid)]
        os.kill(server.pid, signal.SIGKILL)
        model.open("killed")
        run_of_it.process.wait(_SLOW)
        run_of_it.finish()

        assert [event.outcome for event in run_of_it.events(SessionEnded, "a")] == ["lost", "completed"]
        assert [event.reason for event in run_of_it.events(WorkerExited, "a")] == ["lost", "exit"]


def test_the_plan_that_is_shown_to_users_runs_on_one_server(model: ScriptedModel, tmp_path: Path) -> None:
    settings = tmp_path / "home" / ".config" / "opencode"
    settings.mkdir(parents=True)
    (settings / "opencode.json").write_text(json.dumps(opencode_config(model.url)))
    folder = Path(opencode_program()).parent
    env = {"HOME": str(tmp_path / "home"), "PATH": f"{folder}:{os.environ['PATH']}"}
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    plan, last = (ROOT / "configs" / "opencode.toml").read_text(), "and with nothing else."
    questions = script(say('["Who stops it?", "Where is it?"]'), text=last)
    with running(tmp_path, plan.replace(last, questions), env=env) as run_of_it:
        run_of_it.process.wait(_SLOW)
        run_of_it.finish()

        assert len({event.server for event in run_of_it.events(SessionStarted)}) == 1
        ends = run_of_it.events(SessionEnded)
        assert [event.outcome for event in ends] == ["completed"] * 13
        assert [event.worker for event in ends[8:11]] == ["summary", "summary", "questions"]
        assert {event.worker for event in ends[11:]} == {"answer[Who%20stops%20it%3F]", "answer[Where%20is%20it%3F]"}
        assert b"12 sessions: tools 0" in run_of_it.stdout


def _is_server(pid: int) -> bool:
    return b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def _wait_for_start(run_of_it: RunningPlan) -> None:
    """Of its server, which may take longer than a test waits for anything else."""
    run_of_it.wait_until(lambda: bool(run_of_it.events(SessionStarted)), _SLOW)


def test_what_a_session_said_is_in_the_prompt_of_another_once_it_is_as_its_schema_says(
    model: ScriptedModel, tmp_path: Path
) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    (tmp_path / "s.json").write_text(json.dumps(schema))
    answers = (script(say('{"title": 5}')), script(say('```json\n{"title": "fine"}\n```')))
    prompt = f"{{% if attempt == 1 %}}{answers[0]}{{% else %}}{answers[1]}{{% endif %}}"
    output = {"last_message": True, "schema": "s.json"}
    plan = (
        managed(model, tmp_path / "home"),
        session("a", prompt, output=output, retries=1, backoff="0s"),
        session("b", script(say("I got {{ outputs.a.title }}.")), needs=["a"], output={"last_message": True}),
        session("c", script(say("{{ outputs.b }} So it is.")), needs=["b"]),
    )
    with running(tmp_path, *plan) as run_of_it:
        run_of_it.process.wait(_SLOW)
        run_of_it.finish()

        first, second = run_of_it.events(AttemptStarting, "a")
        why = "its last message: not as its schema says: $.title: 5 is not of type 'string'"
        told = f"\n\nThe attempt before this one was not accepted. Its output: {why}"
        assert (first.prompts, second.prompts) == ((answers[0],), (answers[1] + told,))
        assert told.strip() in run_of_it.spool("a", 2, "session").decode()
        assert "I got fine. So it is." in run_of_it.spool("c", stream="session").decode()
