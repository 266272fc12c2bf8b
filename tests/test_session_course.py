"""What an attempt on an agent server does next: prompts, doubts, answers, ends; also after callboard was killed."""

import json
from math import inf
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.agents import Agent, PermissionRule, Prompting
from protocols.errors import ServerErrorKind
from protocols.ids import CommandId
from protocols.opencode import Envelope, Snapshot
from protocols.opencode_envelope import parse_envelope
from protocols.session_course import SessionCourse
from protocols.session_deeds import Abort, Look, SendPrompt
from protocols.session_entries import Begun
from protocols.session_events import SessionEnded
from protocols.session_requests import Answer, Requests
from protocols.session_sending import Prompts, ServerClock
from tests.session_recordings import Row, envelope, fold, rows, session_of, snapshot

SESSION = "ses_1"
AGENT = Agent(name="coder")
RECORDED = ("simple", "children", "permitted", "refused", "length", "rejected", "todos", "together", "asked", "retried")
BEGUN = Begun(at=1000.0, session=SESSION, server="http://x", directory="/work", created=500.0)


def make(*prompts: str, session: str = SESSION, **more: Any) -> SessionCourse:
    prompting = msgspec.structs.replace(Prompting(agent=AGENT, prompts=prompts or ("go",)), **more)
    sending = Prompts(prompting=prompting, salt=bytes, clock=ServerClock())
    return SessionCourse(fold=fold(session), prompts=sending, requests=Requests(prompting))


def begun(*prompts: str, **more: Any) -> SessionCourse:
    """One that is about to send its first prompt."""
    course = make(*prompts, **more)
    course.begin(BEGUN)
    course.connect(1, 1001.0)
    return course


def sends(course: SessionCourse) -> list[SendPrompt]:
    return [deed for deed in course.take_deeds() if isinstance(deed, SendPrompt)]


def shown(at: float, *messages: str, known: bool = True) -> Snapshot:
    infos = [
        {"info": {"id": each, "sessionID": SESSION, "role": "user", "time": {"created": 1}}, "parts": []}
        for each in messages
    ]
    return Snapshot(SESSION, at, known, b'{"type":"busy"}', json.dumps(infos).encode(), b"[]", b"[]", b"[]", b"[]")


def asks(request: str, tool: str = "bash", pattern: str = "ls") -> Envelope:
    properties = {
        "id": request,
        "sessionID": SESSION,
        "permission": tool,
        "patterns": [pattern],
        "metadata": {},
        "always": [],
    }
    event = {"id": f"evt_{request}", "type": "permission.asked", "properties": properties}
    return Envelope(event["id"], "permission.asked", "/work", SESSION, "", json.dumps(event).encode())  # type: ignore[arg-type]


def complete(course: SessionCourse, message: str, at: float) -> None:
    """The server tells that it has the prompt, and its whole answer, and rests."""
    begun = {"id": message, "sessionID": SESSION, "role": "user", "time": {"created": at * 1000}}
    said = {
        "id": f"{message}x",
        "sessionID": SESSION,
        "role": "assistant",
        "parentID": message,
        "finish": "stop",
        "time": {"created": at * 1000, "completed": at * 1000 + 1},
    }
    told: list[tuple[str, dict[str, Any]]] = [
        ("message.updated", {"sessionID": SESSION, "info": begun}),
        ("session.status", {"sessionID": SESSION, "status": {"type": "busy"}}),
        ("message.updated", {"sessionID": SESSION, "info": said}),
        ("session.status", {"sessionID": SESSION, "status": {"type": "idle"}}),
        ("session.idle", {"sessionID": SESSION}),
    ]
    for number, (kind, properties) in enumerate(told):
        event = {"id": f"evt_{message}{number}", "type": kind, "properties": properties}
        text = json.dumps(event).encode()
        course.hear(Envelope(str(event["id"]), kind, "/work", SESSION, "", text), at + number / 100)


def answers(course: SessionCourse) -> list[Answer]:
    return [deed for deed in course.take_deeds() if isinstance(deed, Answer)]


def test_nothing_is_sent_before_the_stream_is_there() -> None:
    course = make()
    course.begin(BEGUN)
    assert course.take_deeds() == []

    course.connect(1, 1001.0)

    (sent,) = sends(course)
    assert json.loads(sent.body) == {"messageID": sent.message, "parts": [{"type": "text", "text": "go"}]}
    assert sent.message.startswith("msg_")


def test_the_body_of_a_prompt_says_what_the_plan_wishes() -> None:
    (sent,) = sends(begun(model="local/big/one", mode="plan", system="be short", tools={"bash": False}))

    body = json.loads(sent.body)
    assert body["model"] == {"providerID": "local", "modelID": "big/one"}
    assert (body["agent"], body["system"], body["tools"]) == ("plan", "be short", {"bash": False})


def test_ids_of_prompts_sort_by_the_clock_of_the_server_and_not_by_ours() -> None:
    (sent,) = sends(begun())

    assert int(sent.message[4:16], 16) >> 12 == 500_001  # BEGUN.created and one millisecond


@pytest.mark.parametrize("kind", ["late", "broken", "unreachable"])
def test_a_prompt_that_may_have_arrived_is_looked_up_and_not_sent_again(kind: ServerErrorKind) -> None:
    course = begun()
    (sent,) = sends(course)
    course.sent(sent.message, "no answer", kind, 1010.0)

    assert course.due <= 1010.0
    course.tick(1010.0)
    assert course.take_deeds() == [Look()]
    course.see(shown(1011.0, sent.message), 1011.5)

    assert course.take_deeds() == []
    assert course.end is None


def test_a_prompt_that_has_not_arrived_is_sent_again_under_the_same_id_and_given_up_after_three_times() -> None:
    course = begun()
    (first,) = sends(course)
    for number in range(1, 3):
        course.sent(first.message, "no answer", "late", 1010.0 * number)
        course.see(shown(1010.0 * number + 31), 1010.0 * number + 32)
        assert sends(course) == [first]
    course.sent(first.message, "no answer", "late", 4000.0)
    course.see(shown(4001.0), 4002.0)

    assert sends(course) == []
    assert course.end is not None
    assert (course.end.outcome, course.end.code) == ("failed", "unsent")


@pytest.mark.parametrize("kind", [None, "late", "broken"])
def test_a_prompt_whose_message_is_not_there_yet_is_not_sent_a_second_time(kind: ServerErrorKind | None) -> None:
    course = begun()
    (sent,) = sends(course)
    course.sent(sent.message, "cut off" if kind else "", kind, 1001.5)
    course.disconnect("cut off", 1001.6)
    course.connect(1, 1001.7)
    for at in (1002.0, 1010.0, 1030.0):
        course.see(shown(at), at)
    assert sends(course) == []
    assert course.prompts.state == "doubtful"

    course.see(shown(1031.0), 1032.0)

    assert sends(course) == [sent]


def test_a_prompt_that_nobody_was_there_to_take_is_sent_again_at_once() -> None:
    course = begun()
    (sent,) = sends(course)
    course.sent(sent.message, "nobody listens", "unreachable", 1001.5)

    course.see(shown(1001.6), 1001.7)

    assert sends(course) == [sent]


def test_a_look_from_before_the_call_proves_nothing() -> None:
    course = begun()
    (sent,) = sends(course)
    course.sent(sent.message, "no answer", "late", 1010.0)
    course.see(shown(1009.0), 1010.5)

    assert sends(course) == []
    assert course.prompts.state == "doubtful"


def test_what_was_accepted_and_then_forgotten_by_a_server_that_died_is_sent_again() -> None:
    course = begun()
    (sent,) = sends(course)
    course.sent(sent.message, "", None, 1002.0)
    course.disconnect("it died", 1003.0)
    course.connect(2, 1004.0)
    course.see(shown(1005.0), 1005.5)

    assert sends(course) == [sent]


def test_what_a_server_had_not_accepted_when_it_died_is_sent_again() -> None:
    course = begun()
    (sent,) = sends(course)
    course.disconnect("it died", 1003.0)
    course.connect(2, 1004.0)
    course.sent(sent.message, "cut off", "broken", 1004.5)
    course.see(shown(1005.0), 1005.5)

    assert sends(course) == [sent]


def ends(course: SessionCourse, count: int | None = None) -> list[str]:
    """The outcomes that its first ``count`` events tell; None: that all of them do."""
    return [event.outcome for event in course.events[:count] if isinstance(event, SessionEnded)]


def rests(at: float, *messages: str) -> Snapshot:
    return shown(at, *messages)._replace(status=b"")


def errs(message: str) -> Envelope:
    error = {"name": "UnknownError", "data": {"message": message}}
    event = {"id": f"evt_{message}", "type": "session.error", "properties": {"sessionID": SESSION, "error": error}}
    return Envelope(f"evt_{message}", "session.error", "/work", SESSION, "", json.dumps(event).encode())


def test_a_prompt_that_is_accepted_and_then_refused_by_an_error_alone_has_failed_with_the_first_of_these() -> None:
    """Recorded: so the server refuses a mode that it does not know."""
    course = begun()
    (sent,) = sends(course)
    course.sent(sent.message, "", None, 1002.0)
    course.hear(errs('Agent not found: "nosuch"'), 1002.1)
    course.hear(errs("UnknownError at <anonymous>"), 1002.2)
    assert course.due <= 1006.0
    course.see(rests(1003.0), 1003.5)
    assert ends(course) == []

    course.see(rests(1006.0), 1006.5)

    assert course.end is not None
    assert (course.end.outcome, course.end.error) == ("failed", 'Agent not found: "nosuch"')
    assert ends(course) == ["failed"]


def test_a_prompt_of_which_a_resting_server_knows_nothing_is_not_waited_for_for_ever() -> None:
    course = begun()
    (sent,) = sends(course)
    course.sent(sent.message, "", None, 1002.0)

    course.see(rests(1100.0), 1100.5)
    assert course.end is None
    course.see(shown(1200.0), 1200.5)  # it is busy with something
    assert course.end is None
    course.see(rests(1300.0, sent.message), 1300.5)
    assert course.end is None

    other = begun()
    (sent,) = sends(other)
    other.sent(sent.message, "", None, 1002.0)
    other.see(rests(1130.0), 1130.5)
    assert other.end is not None
    assert (other.end.outcome, other.end.code) == ("failed", "unsent")


@pytest.mark.parametrize("kind", ["not-found", "bad-request", "refused-password", "too-big"])
def test_a_prompt_that_is_refused_has_failed(kind: ServerErrorKind) -> None:
    course = begun("one", "two")
    (sent,) = sends(course)
    course.sent(sent.message, "refused: so it is", kind, 1010.0)

    assert course.end is not None
    assert (course.end.outcome, course.end.error, course.end.code) == ("failed", "refused: so it is", kind)
    assert sends(course) == []
    assert [event.outcome for event in course.events if isinstance(event, SessionEnded)] == ["failed"]


def test_a_stop_before_the_first_prompt_is_the_end_at_once() -> None:
    course = make()
    course.begin(BEGUN)
    course.stop("aborted", 10.0, 1001.0)

    assert course.is_over()
    course.connect(1, 1002.0)
    assert course.take_deeds() == []


def test_an_abort_is_repeated_until_the_end_and_what_does_not_end_in_time_is_left() -> None:
    course = begun()
    sends(course)
    course.stop("timed-out", 3.0, 1010.0)
    aborts = 0
    while course.end is None:
        assert course.due < inf
        course.tick(course.due)
        aborts += course.take_deeds().count(Abort())

    assert aborts == 4
    assert course.end.outcome == "timed-out"
    assert [event.outcome for event in course.events if isinstance(event, SessionEnded)] == ["timed-out"]


def test_a_second_stop_only_hurries() -> None:
    course = begun()
    course.stop("aborted", 100.0, 1010.0)
    course.stop("aborted", 1000.0, 1011.0)
    course.stop("aborted", 0.0, 1012.0)
    course.tick(1012.0)

    assert course.end is not None


def test_who_does_not_wait_for_the_end_aborts_all_the_same() -> None:
    course = begun()
    sends(course)
    course.stop("aborted", 0.0, 1010.0)
    course.tick(1010.0)

    assert course.end is not None
    assert course.take_deeds() == [Abort()]
    assert not course.is_over()


def test_a_permission_is_answered_once_as_the_plan_says() -> None:
    rule = PermissionRule(reply="allow", tool="bash")
    course = begun(permissions=(rule,))
    sends(course)
    course.hear(asks("per_1"), 1010.0)
    course.hear(asks("per_2", "webfetch"), 1010.0)

    one, two = answers(course)
    assert (one.id, one.allow, two.id, two.allow) == ("per_1", True, "per_2", False)
    assert 'otherwise = "deny"' in two.message
    course.hear(asks("per_1"), 1011.0)
    assert answers(course) == []


def test_what_waits_for_somebody_is_answered_when_its_time_is_over() -> None:
    course = begun(otherwise="ask", answer_within=60.0, unanswered="allow")
    sends(course)
    course.hear(asks("per_1"), 1010.0)

    assert answers(course) == []
    course.tick(1069.9)
    assert answers(course) == []
    assert course.due == 1070.0
    course.tick(1070.0)
    assert [(answer.id, answer.allow) for answer in answers(course)] == [("per_1", True)]


def test_what_somebody_else_answered_is_left_alone() -> None:
    course = begun(otherwise="ask", answer_within=60.0)
    sends(course)
    course.hear(asks("per_1"), 1010.0)
    replied = {
        "id": "evt_r",
        "type": "permission.replied",
        "properties": {"sessionID": SESSION, "requestID": "per_1", "reply": "once"},
    }
    course.hear(Envelope("evt_r", "permission.replied", "/work", SESSION, "", json.dumps(replied).encode()), 1020.0)
    course.tick(1100.0)

    assert answers(course) == []


def test_the_first_who_answers_from_outside_is_heard_and_the_second_is_told_so() -> None:
    course = begun(otherwise="ask", answer_within=60.0)
    sends(course)
    course.hear(asks("per_1"), 1010.0)

    assert course.requests.reply("per_1", "always", "") == ""
    assert course.requests.reply("per_1", "reject", "") == "somebody else has answered it already"
    assert [(answer.allow, answer.always) for answer in answers(course)] == [(True, True)]
    course.tick(1100.0)
    assert answers(course) == []


def test_a_rejection_from_outside_lets_the_agent_go_on_without() -> None:
    course = begun(otherwise="ask", answer_within=60.0)
    sends(course)
    course.hear(asks("per_1"), 1010.0)

    course.requests.reply("per_1", "reject", "")

    (answer,) = answers(course)
    assert (answer.allow, answer.message) == (False, "Rejected by a person. Go on without.")


def test_what_the_plan_has_answered_or_nobody_asked_is_not_answered_from_outside() -> None:
    course = begun(otherwise="allow")
    sends(course)
    course.hear(asks("per_1"), 1010.0)
    answers(course)

    assert course.requests.reply("per_1", "reject", "") == "the plan has answered it already"
    assert "nobody waits for it" in course.requests.reply("per_2", "once", "")


def test_a_prompt_from_outside_follows_those_of_the_plan_and_is_sent_once_however_often_it_is_wanted() -> None:
    course = begun("one")
    (first,) = sends(course)
    assert course.want(CommandId("c"), "two", 1002.0) == 2
    assert course.want(CommandId("c"), "two", 1002.0) == 2
    assert sends(course) == []

    complete(course, first.message, 1010.0)

    (second,) = sends(course)
    assert json.loads(second.body)["parts"] == [{"type": "text", "text": "two"}]
    complete(course, second.message, 1020.0)
    assert course.end is not None
    assert course.end.message == second.message
    assert course.want(CommandId("d"), "three", 1030.0) is None


def test_a_prompt_from_outside_is_known_after_a_restart_and_not_wanted_twice() -> None:
    course = begun("one")
    course.want(CommandId("c"), "two", 1002.0)

    again = make("one")
    again.restore(course.entries, 1003.0)
    again.entries.clear()

    assert again.want(CommandId("c"), "two", 1005.0) == 2
    assert again.entries == []
    assert again.prompts.left


def test_an_answer_that_may_not_have_been_given_is_given_again_after_a_restart() -> None:
    course = begun(otherwise="allow")
    course.hear(asks("per_1"), 1010.0)
    assert [answer.id for answer in answers(course)] == ["per_1"]

    again = make(otherwise="allow")
    again.restore(course.entries, 1020.0)

    assert [answer.id for answer in answers(again)] == ["per_1"]


def test_an_event_whose_id_is_no_text_ends_nothing_neither_live_nor_from_the_log() -> None:
    course = begun()
    text = b'{"id":5,"type":"session.idle","properties":{"sessionID":"ses_1"}}'
    course.hear(parse_envelope(text, 1010.0), 1010.0)

    again = make()
    again.restore(course.entries, 1020.0)

    assert not course.is_over() and not again.is_over()


def test_a_prompt_of_which_nobody_knows_whether_it_was_sent_is_looked_up_after_a_restart() -> None:
    course = begun()
    (sent,) = sends(course)

    again = make()
    again.restore(course.entries, 1020.0)
    again.connect(1, 1021.0)
    assert sends(again) == []
    again.see(shown(1022.0, sent.message), 1022.5)
    assert sends(again) == []

    other = make()
    other.restore(course.entries, 1020.0)
    other.connect(1, 1021.0)
    other.see(shown(1022.0), 1022.5)
    assert sends(other) == [], "it may be on its way"
    other.see(shown(1032.0), 1032.5)
    assert sends(other) == [sent]


def play(course: SessionCourse, row: Row) -> None:
    at = row["at"]
    match row:
        case {"event": event}:
            course.hear(envelope(event), at)
        case {"prompt": _}:
            course.connect(1, at)
        case {"snapshot": _}:
            course.see(snapshot(row), at)
        case _:
            raise AssertionError(row)
    course.tick(at)


def recorded(name: str) -> tuple[list[Row], str]:
    """With the id that a course gives its prompt, and the session."""
    found = rows(name)
    session = session_of(found)
    (prompt,) = [row for row in found if "prompt" in row]
    probe = make(prompt["text"], session=session)
    probe.begin(Begun(at=0.0, session=session, server="http://x", directory="/work"))
    probe.connect(1, 0.0)
    return [json.loads(json.dumps(row).replace(prompt["prompt"], probe.prompts.message)) for row in found], session


def finish(course: SessionCourse) -> None:
    for _ in range(100):
        if course.is_over():
            return
        course.tick(course.due)


@settings(max_examples=60)
@given(st.sampled_from(RECORDED), st.data())
def test_who_takes_up_a_log_at_any_point_comes_to_the_same_text_and_to_one_end(name: str, data: st.DataObject) -> None:
    found, session = recorded(name)
    text = next(row["text"] for row in found if "prompt" in row)
    start = Begun(at=found[0]["at"], session=session, server="http://x", directory="/work")
    whole = make(text, session=session, otherwise="allow")
    whole.begin(start)
    for row in found:
        play(whole, row)
    finish(whole)

    cut = data.draw(st.integers(0, len(found)))
    before = make(text, session=session, otherwise="allow")
    before.begin(start)
    for row in found[:cut]:
        play(before, row)
    after = make(text, session=session, otherwise="allow")
    told = data.draw(st.integers(0, len(before.events)))
    after.restore(before.entries, found[max(cut - 1, 0)]["at"], told=told)
    assert after.events == before.events[told:]
    kept = "".join(after.texts)
    assert kept == "".join(before.texts)
    for row in found[cut:]:
        play(after, row)
    finish(after)

    assert whole.end is not None
    assert after.end is not None
    assert after.end.outcome == whole.end.outcome
    assert "".join(after.texts) == "".join(whole.texts)
    assert len(ends(before, told)) + len(ends(after)) == 1
