"""Attempts that are sessions, on the real server: prompted, followed, aborted, answered, taken up again."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest
import trio

from actors.orders import Answer, Ask
from protocols.agents import Agent, PermissionRule
from protocols.ids import AttemptId, CommandId
from protocols.keeper import Exited, Stopping
from protocols.keeper_inputs import Interrupt, Permit, Prompt, Prompted
from protocols.session_events import (
    SessionChild,
    SessionEnded,
    SessionPermission,
    SessionPrompted,
    SessionQuestion,
    SessionStarted,
    SessionTool,
)
from protocols.session_report import SessionReport
from tests.model_script import ask, gate, refuse, run, say, script, spawn, think
from tests.opencode import OpenCode, open_opencode
from tests.scripted_model import ScriptedModel
from tests.session_desk import Attempt, SessionDesk, open_desk

pytestmark = pytest.mark.opencode


@pytest.fixture(scope="module")
def server(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCode]:
    with open_opencode(tmp_path_factory.mktemp("opencode"), model.url, permission={"bash": "ask"}) as server:
        yield server


ALLOW = PermissionRule(reply="allow", tool="bash")


def desk_of(server: OpenCode, tmp_path: Path) -> AbstractAsyncContextManager[SessionDesk]:
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    agent = Agent(name="coder", attach=server.url, password_env="SECRET")
    return open_desk(tmp_path / "fleet", agent, work, environ={"SECRET": server.password})


async def wish(attempt: Attempt, request: Permit | Prompt) -> Answer:
    send, answer = trio.open_memory_channel[Answer](1)
    await attempt.desk.asks.send(Ask(request, send))
    return await answer.receive()


async def test_a_prompt_is_sent_followed_and_ends_once_with_success(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(think("let me see"), say("Hello there.")))
        ended = await attempt.end()

    assert (ended.code, ended.reason, ended.detail) == (0, "exit", "")
    assert [event.outcome for event in attempt.of(SessionEnded)] == ["completed"]
    assert len(attempt.of(SessionPrompted)) == len(attempt.of(SessionStarted)) == 1
    assert sum(isinstance(report, Exited) for report in attempt.reports) == 1
    assert "Hello there." in attempt.spool
    assert ended.session_bytes == len(attempt.spool.encode())


async def test_prompts_follow_each_other_and_each_has_one_end(server: OpenCode, tmp_path: Path) -> None:
    prompts = [script(say(f"This is answer {number}.")) for number in range(3)]
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(*prompts)
        ended = await attempt.end()

    assert ended.code == 0
    prompted, ends = attempt.of(SessionPrompted), attempt.of(SessionEnded)
    assert [event.number for event in prompted] == [1, 2, 3]
    assert [event.message for event in ends] == [event.message for event in prompted]
    assert {event.outcome for event in ends} == {"completed"}
    places = [attempt.spool.index(f"This is answer {number}.") for number in range(3)]
    assert places == sorted(places)
    said = server.ask(f"/session/{prompted[0].session}/message")
    users = [message["info"]["id"] for message in said if message["info"]["role"] == "user"]
    assert users == [event.message for event in prompted]


async def test_the_log_holds_every_event_of_the_session_in_order(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(run("echo one"), say("two")), permissions=[ALLOW])
        await attempt.end()

    kinds = [entry["kind"] for entry in attempt.log]
    assert kinds[0] == "session"
    assert kinds.count("prompt") == 1
    types = [entry["event"]["type"] for entry in attempt.log if entry["kind"] == "event"]
    assert types.count("session.idle") == 1
    assert {"message.updated", "message.part.updated", "session.status"} < set(types)
    session = attempt.of(SessionStarted)[0].session
    assert {entry["session"] for entry in attempt.log if entry["kind"] == "event"} == {session}


async def test_what_the_plan_allows_is_done_and_what_it_denies_is_told_to_the_agent(
    server: OpenCode, tmp_path: Path
) -> None:
    rules = [
        PermissionRule(reply="deny", tool="bash", pattern="touch denied*"),
        PermissionRule(reply="ask", tool="bash", pattern="touch asked*"),
        ALLOW,
    ]
    steps = (run("touch allowed"), run("touch denied"), run("touch asked"), say("I went on."))
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(*steps), permissions=rules, answer_within=0.2)
        ended = await attempt.end()

    assert ended.code == 0
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["allowed"]
    assert "I went on." in attempt.spool
    (asked,) = [event for event in attempt.of(SessionPermission) if event.state == "asked"]
    assert asked.patterns == ("touch asked",)
    (replied,) = [event for event in attempt.of(SessionPermission) if event.state == "replied"]
    assert (replied.id, replied.reply) == (asked.id, "reject")


async def test_a_permission_that_only_the_server_asks_is_answered_as_the_plan_says_for_the_rest(
    server: OpenCode, tmp_path: Path
) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(run("touch done"), say("Well.")), otherwise="allow")
        ended = await attempt.end()

    assert ended.code == 0
    assert (tmp_path / "work" / "done").exists()
    assert [event.reply for event in attempt.of(SessionPermission) if event.state == "replied"] == ["once"]


async def test_what_nobody_answers_is_answered_when_its_time_is_over(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(
            script(run("touch done"), say("Well.")), otherwise="ask", answer_within=0.1, unanswered="allow"
        )
        ended = await attempt.end()

    assert ended.code == 0
    assert (tmp_path / "work" / "done").exists()


async def test_who_answers_before_the_plan_would_is_heard(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(run("touch done"), say("Well.")), otherwise="ask", answer_within=3600.0)
        asked = await attempt.until(SessionPermission)
        server.ask(f"/permission/{asked.id}/reply?directory={tmp_path / 'work'}", {"reply": "once"})
        ended = await attempt.end()

    assert ended.code == 0
    assert (tmp_path / "work" / "done").exists()


async def test_the_first_reply_from_outside_is_given_and_the_second_is_refused(
    server: OpenCode, tmp_path: Path
) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(run("touch done"), say("Well.")), otherwise="ask", answer_within=3600.0)
        asked = await attempt.until(SessionPermission)
        answers = [
            await wish(attempt, Permit(attempt=attempt.id, permission=asked.id, reply=reply))
            for reply in ("once", "reject")
        ]
        ended = await attempt.end()

    assert ended.code == 0
    assert (tmp_path / "work" / "done").exists()
    assert answers[0].error is None
    assert "already" in str(answers[1].error) or "nobody waits" in str(answers[1].error)
    assert [event.reply for event in attempt.of(SessionPermission)] == ["", "once"]


async def test_a_prompt_from_outside_lengthens_a_session_that_is_at_work(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(run("true"), say("One.")), otherwise="ask", answer_within=3600.0)
        asked = await attempt.until(SessionPermission)
        more = Prompt(attempt=attempt.id, command=CommandId("c"), text=script(say("And two.")))
        answers = [await wish(attempt, more), await wish(attempt, more)]
        await wish(attempt, Permit(attempt=attempt.id, permission=asked.id, reply="once"))
        ended = await attempt.end()

    assert ended.code == 0
    assert [msgspec.json.decode(each.ok, type=Prompted).number for each in answers] == [2, 2]
    assert [event.number for event in attempt.of(SessionPrompted)] == [1, 2]
    assert [event.outcome for event in attempt.of(SessionEnded)] == ["completed"] * 2
    assert "And two." in attempt.spool


async def test_permissions_of_children_are_answered_too(server: OpenCode, tmp_path: Path) -> None:
    steps = (spawn(run("touch done"), say("The child is done.")), say("So am I."))
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(*steps), otherwise="allow")
        ended = await attempt.end()

    assert ended.code == 0
    assert (tmp_path / "work" / "done").exists()
    assert [event.state for event in attempt.of(SessionChild)] == ["started", "ended"]
    assert [event.outcome for event in attempt.of(SessionEnded)] == ["completed"]


async def test_a_question_that_nobody_answers_is_rejected(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(ask("Which one?", "this", "that"), say("Well.")), answer_within=0.1)
        ended = await attempt.end()

    assert [event.state for event in attempt.of(SessionQuestion)] == ["asked", "rejected"]
    assert (ended.code, ended.reason) == (1, "exit")


async def test_a_stop_aborts_what_runs_and_waits_for_its_end(
    server: OpenCode, model: ScriptedModel, tmp_path: Path
) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(run("echo begun; sleep 1000")), permissions=[ALLOW])
        await attempt.until(SessionTool)
        await attempt.stop()
        ended = await attempt.end()

    assert (ended.code, ended.reason) == (None, "stop")
    assert [event.outcome for event in attempt.of(SessionEnded)] == ["aborted"]
    assert [report.reason for report in attempt.reports if isinstance(report, Stopping)] == ["stop"]
    session = attempt.of(SessionStarted)[0].session
    assert session not in server.ask(f"/session/status?directory={tmp_path / 'work'}")


async def test_a_timeout_is_its_own_end(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(run("sleep 1000")), permissions=[ALLOW], timeout=1.0)
        ended = await attempt.end()

    assert (ended.code, ended.reason) == (None, "timeout")
    assert [event.outcome for event in attempt.of(SessionEnded)] == ["timed-out"]


async def test_a_failure_is_told_with_the_words_of_the_server(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(refuse(401, "no such key")), script(say("never said")))
        ended = await attempt.end()

    assert (ended.code, ended.reason) == (1, "exit")
    assert "no such key" in ended.detail
    (end,) = attempt.of(SessionEnded)
    assert (end.outcome, end.status, end.retryable) == ("failed", 401, False)
    assert "never said" not in attempt.spool


async def test_a_mode_that_the_server_does_not_know_is_a_failure_in_its_words(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(say("never said")), mode="nosuch")
        ended = await attempt.end()

    assert (ended.code, ended.reason) == (1, "exit")
    assert 'Agent not found: "nosuch"' in ended.detail
    assert "Agent not found" in attempt.spool


async def test_an_end_that_cannot_be_written_to_its_status_file_is_told_all_the_same(
    server: OpenCode, tmp_path: Path
) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(say("Well.")))
        status = desk.folder.status(attempt.id)
        status.unlink()
        status.mkdir()
        ended = await attempt.end()

    assert (ended.code, ended.reason) == (0, "exit")


async def test_who_asks_and_leaves_is_nobody_s_trouble(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        send, answer = trio.open_memory_channel[Answer](1)
        answer.close()
        await desk.asks.send(Ask(Interrupt(attempt=AttemptId("nobody")), send))
        attempt = await desk.spawn(script(say("Well.")))

        assert (await attempt.end()).code == 0


async def test_eight_sessions_at_once_have_each_their_own_events(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempts = [
            await desk.spawn(script(run(f"echo tool {number}"), say(f"I am {number}.")), permissions=[ALLOW])
            for number in range(8)
        ]
        codes = [(await attempt.end()).code for attempt in attempts]

    assert codes == [0] * 8
    for number, attempt in enumerate(attempts):
        assert [f"I am {other}." in attempt.spool for other in range(8)] == [other == number for other in range(8)]


async def test_a_mistake_in_the_address_or_password_is_told_before_anything_begins(
    server: OpenCode, tmp_path: Path
) -> None:
    agent = Agent(name="coder", attach=server.url, password_env="SECRET", ready_within=25.0)
    async with open_desk(tmp_path / "fleet", agent, tmp_path, environ={"SECRET": "wrong"}) as desk:
        attempt = await desk.spawn("x")

    assert "password" in str(attempt.answer.error)


async def test_a_session_is_taken_up_where_it_was_left_and_not_prompted_again(
    server: OpenCode, model: ScriptedModel, tmp_path: Path
) -> None:
    prompts = (script(say("Before. ", times=3, size=4), gate("taken-up"), say("After.")), script(say("And more.")))
    async with desk_of(server, tmp_path) as desk:
        left = await desk.spawn(*prompts)
        await left.until(SessionPrompted)
        await trio.to_thread.run_sync(model.reached, "taken-up")
        await desk.leave()
    model.open("taken-up")

    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.resume(left, *prompts)
        ended = await attempt.end()

    assert ended.code == 0
    assert [event.outcome for event in attempt.of(SessionEnded)] == ["completed", "completed"]
    assert [event.number for event in (*left.of(SessionPrompted), *attempt.of(SessionPrompted))] == [1, 2]
    assert [event.resumed for event in attempt.of(SessionStarted)] == [True]
    said = server.ask(f"/session/{attempt.of(SessionStarted)[0].session}/message")
    assert [message["info"]["role"] for message in said] == ["user", "assistant", "user", "assistant"]
    assert "After." in attempt.spool
    assert "And more." in attempt.spool
    assert ended.session_bytes == len(attempt.spool.encode())


async def test_what_was_in_the_log_and_not_yet_in_the_journal_is_told_when_it_is_taken_up(
    server: OpenCode, tmp_path: Path
) -> None:
    async with desk_of(server, tmp_path) as desk:
        killed = await desk.spawn(script(run("true"), say("Well.")), permissions=[ALLOW])
        await killed.end()
    started = killed.reports[0]
    before = Attempt(desk, killed.id, killed.folder, killed.inbox, reports=[started])
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.resume(before, script(run("true"), say("Well.")))
        await attempt.end()

    told = [event for event in attempt.events if not (isinstance(event, SessionStarted) and event.resumed)]
    assert [started, *(SessionReport(attempt=killed.id, event=event) for event in told)] == [
        report for report in killed.reports if isinstance(report, SessionReport)
    ]


async def test_a_session_that_was_never_made_is_not_known(server: OpenCode, tmp_path: Path) -> None:
    async with desk_of(server, tmp_path) as desk:
        attempt = await desk.spawn(script(say("x")))
        await attempt.end()
        (attempt.folder / "session-events.json").unlink()
    async with desk_of(server, tmp_path) as desk:
        again = await desk.resume(attempt, "x")

    assert getattr(again.answer.error, "code", "") == "unknown-attempt"
