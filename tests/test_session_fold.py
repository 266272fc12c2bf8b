"""Sessions of an agent server, as the real one told them: what is written, recorded, asked, and how prompts end."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.session_changes import Change, PermissionAsked, PromptEnded, QuestionAsked, Tell, Withdrawn
from protocols.session_events import (
    SessionChild,
    SessionEnded,
    SessionPermission,
    SessionPrompted,
    SessionQuestion,
    SessionRetry,
    SessionStatus,
    SessionTodos,
    SessionTool,
    SessionUsage,
)
from protocols.session_fold import SessionFold
from tests.session_recordings import (
    Row,
    ends,
    envelope,
    events,
    fold,
    play,
    rows,
    session_of,
    snapshot,
    text_of,
)

OUTCOMES = {
    "simple": ["completed"],
    "together": ["completed"],
    "children": ["completed"],
    "child-fails": ["completed"],
    "child-asks": ["completed"],
    "todos": ["completed"],
    "retried": ["completed"],
    "dropped": ["completed"],
    "asked": ["completed"],
    "permitted": ["completed"],
    "two": ["completed", "completed"],
    "again": ["completed", "completed"],
    "length": ["failed"],
    "refused": ["failed"],
    "junk": ["failed"],
    "wrong-model": ["failed"],
    "rejected": ["failed"],
    "aborted": ["aborted"],
    "aborted-text": ["aborted"],
    "aborted-retry": ["aborted"],
    "aborted-parent": ["aborted"],
    "disposed": ["aborted"],
    "deleted": ["lost"],
    "killed": ["lost"],
}
EVERY = sorted(OUTCOMES)


def told(name: str, *, reasoning: bool = True) -> list[Change]:
    """All that comes of a recording."""
    recorded = rows(name)
    session = fold(session_of(recorded), reasoning=reasoning)
    return [change for row in recorded for change in play(session, row)]


def later(recorded: Sequence[Row], *seconds: float) -> Iterator[Row]:
    """What the server says at the end, asked for again so much later."""
    end, found = recorded[-1]["at"], dict[str, Row]()
    for row in recorded:
        if "snapshot" in row:
            found[row["snapshot"]["session"]] = row
    for pause in seconds:
        for row in found.values():
            yield {**row, "at": end + pause}


def answer(recorded: Sequence[Row]) -> str:
    """The text of the newest answer, as the server has it."""
    last = next(row["snapshot"] for row in later(recorded, 0.0) if row["snapshot"]["session"] == session_of(recorded))
    answers = [each for each in last["messages"] if each["info"]["role"] == "assistant"]
    return "".join(part["text"] for part in answers[-1]["parts"] if part["type"] == "text") if answers else ""


@pytest.mark.parametrize("name", EVERY)
def test_each_prompt_has_one_end_with_the_text_that_the_server_has(name: str) -> None:
    changes = told(name)

    found = ends(changes)
    assert [each.outcome for each in found] == OUTCOMES[name]
    assert found[-1].text == answer(rows(name))
    assert [each.message for each in found] == [row["prompt"] for row in rows(name) if "prompt" in row]
    assert [(each.message, each.outcome) for each in events(changes, SessionEnded)] == [
        (each.message, each.outcome) for each in found
    ]


@pytest.mark.parametrize("name", EVERY)
def test_the_end_comes_with_the_stream_and_not_before_the_last_news_of_the_answer(name: str) -> None:
    recorded = rows(name)
    session = fold(session_of(recorded))

    ended = [place for place, row in enumerate(recorded) for _ in ends(play(session, row))]

    last = max(
        place
        for place, row in enumerate(recorded)
        if row.get("event", {}).get("type", "").startswith("message.part.") or "restarted" in row
    )
    assert ended[-1] > last


def test_what_is_written_are_clear_blocks_in_order() -> None:
    text = text_of(told("simple"))

    _, _, rest = text.partition("\n\n[REASONING]\n")
    assert (
        rest
        == f"""\
Let me think about it. Let me think about it. Let me think about it.{" "}

[TEXT]
First I look around.

[BASH] $ echo one; sleep 0.3; echo two
[OUTPUT]
one
two

[WRITE] /work/simple/a.txt
[READ] /work/simple/a.txt
[EDIT] /work/simple/a.txt (+1 -1)
[BASH] $ echo bad >&2; exit 3
[OUTPUT]
bad
[EXIT 3]

[TEXT]
All is done.
"""
    )


def test_reasoning_is_left_out_where_nobody_wants_it() -> None:
    text = text_of(told("simple", reasoning=False))

    assert "REASONING" not in text
    assert "Let me think about it. L" not in text


def test_each_piece_of_text_is_written_when_it_comes() -> None:
    recorded = rows("simple")
    session = fold(session_of(recorded))

    pieces = [text_of(play(session, row)) for row in recorded if row.get("event", {}).get("type") != "message.updated"]

    assert "[TEXT]\nFirst" in "".join(pieces)
    assert [piece for piece in pieces if piece in {" I lo", "ok ar", "ound.", "All ", "is d", "one."}] != []


def test_children_have_labels_and_no_block_of_theirs_tears_another() -> None:
    text = text_of(told("children"))

    blocks = [block.split("\n", 1)[0] for block in text.split("\n\n")]
    assert "[first] [TEXT]" in blocks
    assert "[second] [REASONING]" in blocks
    assert "\nI am the first.\n" in text
    assert "\nTwo ends.\n" in text


def test_children_are_told_as_they_start_and_end() -> None:
    children = events(told("children"), SessionChild)

    assert [(each.title.split()[0], each.state) for each in children] == [
        ("first", "started"),
        ("second", "started"),
        ("second", "ended"),
        ("first", "ended"),
    ]


def test_tools_are_told_with_command_path_exit_code_and_error() -> None:
    tools = events(told("simple"), SessionTool)
    failed = events(told("rejected"), SessionTool)[-1]

    assert [
        (each.name, each.state, each.command or each.path, each.code) for each in tools if each.state != "running"
    ] == [
        ("bash", "completed", "echo one; sleep 0.3; echo two", 0),
        ("write", "completed", "/work/simple/a.txt", None),
        ("read", "completed", "/work/simple/a.txt", None),
        ("edit", "completed", "/work/simple/a.txt", None),
        ("bash", "completed", "echo bad >&2; exit 3", 3),
    ]
    assert [each.state for each in tools[:2]] == ["running", "completed"]
    assert (failed.state, failed.error) == ("error", "The user rejected permission to use this specific tool call.")


def test_usage_is_counted_over_all_answers_of_all_sessions() -> None:
    last = events(told("simple"), SessionUsage)[-1]
    children = events(told("children"), SessionUsage)[-1]

    assert (last.messages, last.input, last.output, last.cost) == (6, 600, 60, 0.0027)
    assert (last.tools, last.commands, last.files) == (5, 2, 2)
    assert (children.messages, children.tools, children.commands, children.files) == (6, 4, 1, 1)


def test_a_prompt_is_told_once_it_is_there_and_what_the_session_does_at_each_change() -> None:
    changes = told("simple")

    (prompted,) = events(changes, SessionPrompted)
    states = [(each.status, each.doing) for each in events(changes, SessionStatus)]
    assert prompted.number == 1
    assert prompted.text.startswith("Do this.\nSCRIPT")
    assert states[:4] == [("busy", "thinking"), ("busy", "working"), ("busy", "thinking"), ("busy", "working")]
    assert ("busy", "reading") in states
    assert states[-1] == ("idle", "")
    assert all(before != after for before, after in pairwise(states))


def test_progress_is_that_of_the_todos() -> None:
    todos = events(told("todos"), SessionTodos)

    assert [(each.done, each.total, each.current) for each in todos] == [(0, 2, "one"), (1, 2, "two")]


def test_a_retry_is_told_with_the_moment_of_the_next() -> None:
    (retry,) = events(told("retried"), SessionRetry)

    assert (retry.number, retry.message) == (1, "too many")
    assert abs(retry.next_at - retry.at) < 5


@pytest.mark.parametrize(
    ("name", "code", "status", "error"),
    [
        ("refused", "APIError", 401, "wrong key"),
        ("length", "length", None, "its answer was cut off"),
        ("junk", "UnknownError", None, "JSON parsing failed"),
        ("wrong-model", "UnknownError", None, "Model not found: local/nobody."),
        ("rejected", "rejected", None, "a permission or question was rejected"),
        ("deleted", "deleted", None, "its session was deleted"),
        ("killed", "restarted", None, "its server was started again"),
        ("disposed", "aborted", None, "somebody else aborted it"),
    ],
)
def test_an_end_that_is_none_says_why(name: str, code: str, status: int | None, error: str) -> None:
    (ended,) = ends(told(name))

    assert (ended.code, ended.status) == (code, status)
    assert ended.error.startswith(error)


def test_a_timeout_is_an_abort_with_another_name() -> None:
    recorded = rows("aborted")
    session = fold(session_of(recorded))
    changes: list[Change] = []

    for row in recorded:
        if "abort" in row:
            session.abort(row["at"], "timed-out")
        else:
            changes += play(session, row)

    assert [each.outcome for each in ends(changes)] == ["timed-out"]


def test_permissions_are_asked_once_with_the_command_and_withdrawn_once() -> None:
    for name in ("permitted", "child-asks"):
        changes = told(name)
        (asked,) = [change for change in changes if isinstance(change, PermissionAsked)]
        assert (asked.tool, asked.command, asked.always) == ("bash", asked.patterns[0], ("echo *",))
        assert [change for change in changes if isinstance(change, Withdrawn)] == [Withdrawn(asked.id)]
        assert [(each.state, each.reply) for each in events(changes, SessionPermission)] == [
            ("asked", ""),
            ("replied", "once"),
        ]
    assert asked.session != session_of(rows("child-asks"))


def test_a_question_is_asked_with_its_options() -> None:
    changes = told("asked")

    (asked,) = [change for change in changes if isinstance(change, QuestionAsked)]
    assert asked.questions == (("Red or blue?", ("red", "blue")),)
    assert [each.state for each in events(changes, SessionQuestion)] == ["asked", "replied"]


def test_a_permission_of_a_session_that_is_deleted_is_waited_for_no_more() -> None:
    changes = told("deleted")

    assert [each.state for each in events(changes, SessionPermission)] == ["asked", "gone"]
    assert sum(isinstance(change, Withdrawn) for change in changes) == 1


@pytest.mark.parametrize("name", EVERY)
def test_without_any_event_the_snapshots_alone_tell_the_same_end(name: str) -> None:
    recorded = rows(name)
    session = fold(session_of(recorded))
    changes: list[Change] = []

    for row in [row for row in recorded if "event" not in row and "snapshot" not in row]:
        changes += play(session, row)
    session.miss(recorded[-1]["at"])
    for row in later(recorded, 1.0, 30.0, 100.0):
        changes += play(session, row)

    outcomes = ["lost"] if name == "wrong-model" else OUTCOMES[name]  # nothing of the error is stored
    assert [each.outcome for each in ends(changes)] == (outcomes if name != "deleted" else ["lost"])
    assert ends(changes)[-1].text == answer(recorded)
    assert all(change.event.reconciled for change in changes if isinstance(change, Tell))


@settings(max_examples=100)
@given(st.data())
def test_lost_doubled_and_interleaved_events_change_no_end_and_no_text(data: st.DataObject) -> None:
    name, noticed = data.draw(st.sampled_from(EVERY)), data.draw(st.booleans())
    recorded = rows(name)
    session = fold(session_of(recorded))
    order = _interleaved(recorded, data)
    lost = data.draw(st.sets(st.integers(0, len(order) - 1), max_size=len(order)))
    doubled = data.draw(st.sets(st.integers(0, len(order) - 1), max_size=10))
    changes: list[Change] = []

    for place, row in enumerate(order):
        at = recorded[0]["at"] + place * 0.001
        if "event" in row and place in lost:
            changes += session.miss(at) if noticed else []
        else:
            changes += play(session, {**row, "at": at})
        if place in doubled and "event" in row:
            changes += play(session, {**row, "at": at})
    for row in later(recorded, 1.0, 30.0, 100.0):
        changes += play(session, row)
    changes += session.flush(recorded[-1]["at"] + 100.0)

    found = [each.outcome for each in ends(changes)]
    assert found == OUTCOMES[name] or (name == "wrong-model" and found == ["lost"])
    assert not session.running
    if noticed:
        assert ends(changes)[-1].text == answer(recorded)
        _all_is_written(recorded, text_of(changes))


def _interleaved(recorded: Sequence[Row], data: st.DataObject) -> list[Row]:
    """Each session's events in their order, and all else where it was; the sessions mixed in another way."""
    order = [row for row in recorded if "snapshot" not in row]
    child = [row for row in order if "event" in row and row["event"]["properties"]["sessionID"] != session_of(recorded)]
    if not child:
        return order
    own = [row for row in order if not any(row is each for each in child)]
    first = next(place for place, row in enumerate(order) if row is child[0])
    for row in reversed(child):
        first = data.draw(st.integers(min(first, len(own)), len(own)))
        own.insert(first, row)
    return own if [row for row in own if row in child] == child else order


def _all_is_written(recorded: Sequence[Row], text: str) -> None:
    for row in later(recorded, 0.0):
        for message in row["snapshot"]["messages"]:
            for part in message["parts"]:
                if part["type"] == "text" and message["info"]["role"] == "assistant":
                    assert part["text"].strip() in text


def _scripted(session: str, *steps: tuple[str, Row]) -> list[Row]:
    return [
        {
            "at": 1000.0 + place,
            "event": {"id": f"evt_{place}", "type": name, "properties": {"sessionID": session, **rest}},
        }
        for place, (name, rest) in enumerate(steps)
    ]


USER = ("message.updated", {"info": {"id": "msg_1", "role": "user", "time": {"created": 5}}})
BUSY = ("session.status", {"status": {"type": "busy"}})
IDLE = ("session.idle", Row())


def _answered(finish: str | None, completed: int | None = 9, name: str = "msg_2") -> tuple[str, Row]:
    times = {"created": 6} if completed is None else {"created": 6, "completed": completed}
    info = {"id": name, "role": "assistant", "parentID": "msg_1", "finish": finish, "time": times}
    return "message.updated", {"info": info}


def prompted() -> SessionFold:
    session = fold("ses_1")
    session.prompt("msg_1", "Do it.", 999.0)
    return session


def outcomes(session: SessionFold, *steps: tuple[str, Row]) -> list[str]:
    return [each.outcome for row in _scripted("ses_1", *steps) for each in ends(play(session, row))]


def picture(at: float, *messages: tuple[str, Row], status: str = "", known: bool = True) -> Row:
    told = [{"info": step[1]["info"], "parts": []} for step in messages]
    whole = {"session": "ses_1", "known": known, "status": {"type": status} if status else None, "messages": told}
    return {"at": at, "snapshot": {**whole, "children": [], "permissions": [], "questions": [], "todos": []}}


def test_nothing_is_over_before_our_own_message_was_seen() -> None:
    session = prompted()

    assert outcomes(session, BUSY, IDLE, IDLE) == []
    assert session.running


def test_the_answer_before_is_no_answer_to_the_prompt() -> None:
    session = prompted()
    old = {"id": "msg_0", "role": "assistant", "parentID": "msg_00", "finish": "stop"}
    before = ("message.updated", {"info": {**old, "time": {"created": 2, "completed": 3}}})

    assert outcomes(session, before, USER, IDLE) == []
    assert session.running


def test_an_idle_before_the_answer_is_complete_is_a_forerunner() -> None:
    session = prompted()

    assert outcomes(session, USER, BUSY, _answered(None, None), IDLE) == []
    assert outcomes(session, ("message.updated", _answered("stop")[1])) == []


def test_a_child_that_works_keeps_a_prompt_from_being_over() -> None:
    session = prompted()
    child = _scripted(
        "ses_2",
        ("session.created", {"info": {"id": "ses_2", "parentID": "ses_1", "title": "helper"}}),
        BUSY,
    )
    ended = {"id": "evt_x", "type": "session.idle", "properties": {"sessionID": "ses_2"}}
    for row in child:
        row["event"]["id"] += "c"
        play(session, row)

    assert outcomes(session, USER, BUSY, _answered("stop"), IDLE) == []
    assert [each.outcome for each in ends(session.apply(envelope(ended), 2000.0))] == ["completed"]


def test_busy_for_ever_is_over_when_nothing_happens_for_twenty_seconds() -> None:
    session = prompted()
    assert outcomes(session, USER, BUSY, _answered("stop"), BUSY) == []

    looks = [picture(at, USER, _answered("stop"), status="busy") for at in (1010.0, 1029.0, 1031.0)]

    assert session.doubt_at == 1005.0
    assert [len(ends(play(session, row))) for row in looks] == [0, 0, 1]


def test_busy_with_an_answer_that_goes_on_is_never_over() -> None:
    session = prompted()
    outcomes(session, USER, BUSY, _answered("tool-calls"))

    looks = [picture(at, USER, _answered("tool-calls"), status="busy") for at in (1010.0, 1100.0, 5000.0)]

    assert [len(ends(play(session, row))) for row in looks] == [0, 0, 0]


def test_an_idle_that_nobody_told_is_seen_when_the_server_is_asked() -> None:
    session = prompted()
    outcomes(session, USER, BUSY, _answered("stop"))

    (ended,) = ends(play(session, picture(1010.0, USER, _answered("stop"))))

    assert (ended.message, ended.outcome) == ("msg_1", "completed")


@pytest.mark.parametrize(("messages", "pause"), [((USER,), 60.0), ((USER, _answered(None, None)), 10.0)])
def test_a_session_that_rests_without_an_end_is_lost_after_a_while(
    messages: tuple[tuple[str, Row], ...], pause: float
) -> None:
    session = prompted()
    outcomes(session, USER)

    early = [each for at in (1010.0, 1009.0 + pause) for each in ends(play(session, picture(at, *messages)))]
    (ended,) = ends(play(session, picture(1010.0 + pause, *messages)))

    assert early == []
    assert (ended.outcome, ended.code, ended.retryable) == ("lost", "no-answer", True)


def test_a_snapshot_that_is_older_than_an_event_undoes_nothing() -> None:
    session = prompted()
    outcomes(session, USER, BUSY, _answered(None, None), ("session.status", {"status": {"type": "busy"}}))

    changes = play(session, picture(1000.5))

    assert changes == []
    assert outcomes(session) == []
    assert session.running


def test_an_old_snapshot_does_not_bring_a_permission_back() -> None:
    session = prompted()
    asked = {"id": "per_1", "permission": "bash", "patterns": ["ls"]}
    steps = _scripted(
        "ses_1",
        USER,
        BUSY,
        ("permission.asked", asked),
        ("permission.replied", {"requestID": "per_1", "reply": "once"}),
    )
    for row in steps:
        play(session, row)
    look = picture(1010.0, USER, status="busy")
    look["snapshot"]["permissions"] = [{**asked, "sessionID": "ses_1"}]

    assert not [change for change in play(session, look) if isinstance(change, PermissionAsked)]


def test_a_permission_that_nobody_told_is_found_and_one_that_is_gone_is_withdrawn() -> None:
    session = prompted()
    outcomes(session, USER, BUSY)
    look = picture(1010.0, USER, status="busy")
    look["snapshot"]["permissions"] = [{"id": "per_1", "sessionID": "ses_1", "permission": "bash", "patterns": ["ls"]}]

    found = [change.id for change in play(session, look) if isinstance(change, PermissionAsked)]
    gone = [
        change.id for change in play(session, picture(1020.0, USER, status="busy")) if isinstance(change, Withdrawn)
    ]

    assert (found, gone) == (["per_1"], ["per_1"])


def test_after_events_may_be_lost_the_end_waits_for_a_snapshot() -> None:
    session = prompted()
    outcomes(session, USER, BUSY)
    session.miss(1003.0)

    assert [
        each
        for row in _scripted("ses_1", USER, BUSY, BUSY, _answered("stop"), IDLE)[3:]
        for each in ends(play(session, row))
    ] == []
    assert session.doubt_at is not None
    assert len(ends(play(session, picture(1010.0, USER, _answered("stop"))))) == 1


def test_a_prompt_that_was_refused_has_failed_and_one_that_is_given_up_is_lost() -> None:
    refused, given_up = prompted(), prompted()
    outcomes(given_up, USER, BUSY)

    assert [(each.outcome, each.error) for each in ends(refused.refuse("no such session", 1000.0))] == [
        ("failed", "no such session")
    ]
    assert [(each.outcome, each.error) for each in ends(given_up.lose("the server is gone", 1010.0))] == [
        ("lost", "the server is gone")
    ]
    assert given_up.lose("again", 1020.0) == []


def test_events_that_nobody_can_read_are_counted_and_change_nothing() -> None:
    session = prompted()

    broken = envelope({"type": "session.status", "properties": {"sessionID": "ses_1", "status": 7}})
    unknown = envelope({"type": "session.next.thing", "properties": {"sessionID": "ses_1"}})

    assert session.apply(broken, 1.0) == session.apply(unknown, 1.0) == []
    assert session.broken == 1


def test_the_same_calls_give_the_same_changes() -> None:
    recorded = rows("children")
    first, second = fold(session_of(recorded)), fold(session_of(recorded))

    assert [play(first, row) for row in recorded] == [play(second, json.loads(json.dumps(row))) for row in recorded]


def test_what_was_said_before_our_first_prompt_is_not_told() -> None:
    recorded = rows("again")
    second = [row for row in recorded if "prompt" in row][1]
    session = fold(session_of(recorded))
    session.prompt(second["prompt"], second["text"], second["at"])

    changes = [change for row in later(recorded, 1.0) for change in play(session, row)]

    assert [each.text for each in ends(changes)] == ["Second."]
    assert "First." not in text_of(changes)
    assert isinstance(changes[-1], PromptEnded)


@pytest.mark.parametrize("name", EVERY)
def test_snapshots_that_come_late_change_nothing(name: str) -> None:
    recorded = [row for row in rows(name) if "prompt" in row or "event" in row or "abort" in row]
    session, root = fold(session_of(recorded)), session_of(recorded)
    empty = {"session": root, "known": True, "status": None, "messages": [], "children": [], "todos": []}
    late = {"at": recorded[0]["at"], "snapshot": {**empty, "permissions": [], "questions": []}}
    changes: list[Change] = []
    known = False

    for row in recorded:
        changes += play(session, row)
        known = known or row.get("event", {}).get("type") == "session.status"
        if known:
            changes += session.reconcile(snapshot(late), row["at"])

    usual = fold(root)
    expected = [change for row in recorded for change in play(usual, row)]
    assert changes == expected
