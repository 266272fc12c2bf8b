"""What is printed for somebody who watches a server: text, JSON lines, or the server's own events."""

import json
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocols.session_watch import Form, SessionWatch
from tests.session_recordings import Row, envelope, rows, session_of, snapshot


def printed(name: str, watch: SessionWatch) -> str:
    """What comes of the events of a recording."""
    return "".join(watch.apply(envelope(row["event"]), row["at"]) for row in rows(name) if "event" in row)


def event(number: int, name: str, session: str = "ses_1", **properties: object) -> Row:
    return {"id": f"evt_{session}_{number}", "type": name, "properties": {"sessionID": session, **properties}}


def text_part(session: str, text: str, *, end: bool = True, part: str = "prt_1") -> Row:
    times = {"start": 1, "end": 2} if end else {"start": 1}
    part_ = {"id": f"{part}_{session}", "messageID": f"msg_{session}", "type": "text", "text": text, "time": times}
    return event(0 if end else 1, "message.part.updated", session, part=part_)


def test_the_sessions_are_told_apart_by_their_titles_and_children_by_their_names() -> None:
    text = printed("children", SessionWatch())

    assert "[A session] [TEXT]\nTwo of you.\n" in text
    assert "[A session: first] [BASH] $ echo child\n" in text


def test_two_sessions_of_the_same_title_are_told_apart() -> None:
    watch = SessionWatch()

    for session in ("ses_111111", "ses_222222"):
        watch.apply(envelope(event(7, "session.created", session, info={"id": session, "title": "Same"})), 1.0)
    text = "".join(watch.apply(envelope(text_part(each, "Hi.")), 2.0) for each in ("ses_111111", "ses_222222"))

    assert text == "[Same] [TEXT]\nHi.\n\n[Same 222222] [TEXT]\nHi.\n"


def test_a_session_without_a_title_is_known_by_its_id() -> None:
    assert SessionWatch().apply(envelope(text_part("ses_abcdef", "Hi.")), 1.0) == "[abcdef] [TEXT]\nHi.\n"


def test_of_one_session_nothing_else_is_shown_and_its_deletion_is_the_end() -> None:
    watch = SessionWatch(only="ses_1")

    texts = [watch.apply(envelope(text_part(each, "Hi.")), 1.0) for each in ("ses_2", "ses_1")]
    assert not watch.over
    watch.apply(envelope(event(9, "session.deleted", "ses_1")), 2.0)

    assert texts == ["", "[TEXT]\nHi.\n"]
    assert watch.over


def test_one_child_may_be_watched_alone_from_its_creation_on() -> None:
    events = [row["event"]["properties"] for row in rows("children") if "event" in row]
    root = session_of(rows("children"))
    child = next(each["sessionID"] for each in events if each["sessionID"] != root and "echo child" in str(each))

    text = printed("children", SessionWatch(only=child))

    assert "[BASH] $ echo child\n" in text
    assert "Two of you." not in text


def test_reasoning_is_shown_where_it_is_wanted() -> None:
    assert "[REASONING]" not in printed("simple", SessionWatch())
    assert "[A session] [REASONING]\nLet me think" in printed("simple", SessionWatch(reasoning=True))


def test_errors_of_a_session_that_others_prompt_are_shown() -> None:
    assert "[A session] [ERROR] wrong key (APIError)\n" in printed("refused", SessionWatch())


def test_json_lines_hold_the_text_as_it_streams_and_the_events() -> None:
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in printed("simple", SessionWatch(form="json")).splitlines()
    ]

    text = "".join(line["text"] for line in lines if line["type"] == "session.text")
    assert "[TEXT]\nFirst I look around.\n" in text
    assert {"session.status", "session.tool", "session.usage"} <= {line["type"] for line in lines}
    assert {line["session"] for line in lines} == {session_of(rows("simple"))}
    assert not any({"worker", "attempt"} & line.keys() for line in lines)


def test_raw_lines_are_the_events_of_the_server() -> None:
    lines = printed("simple", SessionWatch(form="raw")).splitlines()

    assert [json.loads(line) for line in lines] == [row["event"] for row in rows("simple") if "event" in row]


@given(st.sampled_from(["text", "json", "raw"]), st.lists(st.text(), max_size=4))
def test_no_control_character_of_an_agent_is_printed(form: Form, pieces: list[str]) -> None:
    watch = SessionWatch(form=form)
    pieces = [piece.encode("utf-8", "replace").decode() for piece in pieces]

    shown = watch.apply(envelope(text_part("ses_1", "", end=False)), 1.0)
    for number, piece in enumerate(("\x1b[2J\x9b\u202e", *pieces)):
        delta = {"messageID": "msg_ses_1", "partID": "prt_1_ses_1", "field": "text", "delta": piece}
        shown += watch.apply(envelope(event(number + 5, "message.part.delta", **delta)), 1.0)
    shown += watch.apply(envelope(event(99, "session.idle")), 1.0)

    assert {each for each in shown if unicodedata.category(each) == "Cc"} <= {"\n", "\t"}


def test_what_was_missed_is_shown_when_the_server_is_there_again() -> None:
    recorded = rows("simple")
    watch, at, shown = SessionWatch(), 0.0, ""
    half = [row for row in recorded if "event" in row][:40]
    for row in half:
        shown += watch.apply(envelope(row["event"]), at := row["at"])

    shown += watch.miss(at) + watch.say("lost: cut off", at)
    shown += "".join(watch.reconcile(snapshot(row), at) for row in recorded if "snapshot" in row)

    assert "All is done." in shown
    assert shown.count("First I look around.") == 2  # of which one is the prompt
    assert "[CONNECTION] lost: cut off\n" in shown


def test_the_history_of_a_session_is_not_shown() -> None:
    recorded = rows("again")
    second = [place for place, row in enumerate(recorded) if "prompt" in row][1]
    watch = SessionWatch()
    shown = "".join(watch.apply(envelope(row["event"]), row["at"]) for row in recorded[second + 5 :] if "event" in row)

    shown += "".join(watch.reconcile(snapshot(row), row["at"]) for row in recorded if "snapshot" in row)

    assert "Second." in shown
    assert "[TEXT]\nFirst." not in shown


def test_the_places_are_where_to_ask_for_what_was_missed() -> None:
    watch = SessionWatch()
    printed("children", watch)

    assert watch.places() == [("/work", (session_of(rows("children")),))]
    assert (
        watch.reconcile(
            snapshot({"at": 1.0, "snapshot": {**rows("children")[-1]["snapshot"], "session": "ses_x"}}), 1.0
        )
        == ""
    )


def test_text_that_waits_is_shown_when_the_open_block_stands_still() -> None:
    watch = SessionWatch()
    watch.apply(envelope(text_part("ses_aaaaaa", "I think", end=False)), 1.0)
    waiting = watch.apply(envelope(text_part("ses_bbbbbb", "Hi.")), 1.5)

    assert (waiting, watch.due_at) == ("", 3.0)
    assert watch.tick(3.0) == "\n\n[bbbbbb] [TEXT]\nHi.\n"
