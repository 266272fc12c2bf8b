"""What sessions used, as a report and a person get it."""

from typing import NamedTuple

from protocols.ids import WorkerId
from protocols.session_events import SessionStarted, SessionUsage
from protocols.session_view import SessionView
from supervisor.session_use import SessionUse, add_up, session_use, tell_use

A = WorkerId("a")


class Task(NamedTuple):
    id: str
    status: str
    seconds: float | None


def test_an_attempt_that_is_no_session_used_nothing() -> None:
    assert session_use(None) is None


def test_the_last_totals_count() -> None:
    view = SessionView()
    view.apply(SessionStarted(at=1.0, worker=A, attempt=1, session="ses_1", server="http://x", directory="/w"))
    assert session_use(view) == SessionUse(session="ses_1")
    for tools in (1, 2):
        view.apply(
            SessionUsage(
                at=2.0, worker=A, attempt=1, session="ses_1", tools=tools, input=10, output=5, reasoning=2, cache_read=7
            )
        )

    assert session_use(view) == SessionUse(session="ses_1", tools=2, input_tokens=10, output_tokens=7, cached_tokens=7)


def test_uses_add_up_and_belong_to_no_session_then() -> None:
    one = SessionUse(session="ses_1", prompts=1, tools=2, cost=0.25)

    assert add_up([one, one]) == SessionUse(prompts=2, tools=4, cost=0.5)


def test_each_session_has_a_line_and_all_of_them_one_more() -> None:
    use = SessionUse(
        tools=45, commands=20, files=8, input_tokens=300_400, cached_tokens=9_600, output_tokens=1_234, cost=0.5
    )

    assert list(tell_use([(Task("one", "succeeded", 133.0), use), (Task("two", "failed", None), SessionUse())])) == [
        "✓ one (2m13s) tools 45, bash 20, files 8, tokens 310k in, 1.2k out, cost 0.5000",
        "✗ two tools 0, bash 0, files 0, tokens 0 in, 0 out",
        "2 sessions: tools 45, bash 20, files 8, tokens 310k in, 1.2k out, cost 0.5000",
    ]
    assert len(list(tell_use([(Task("one", "stopped", None), use)]))) == 1
