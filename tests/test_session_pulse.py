"""A session's records as evidence of its liveness, and what a view of them shows."""

from typing import Any

import pytest

from protocols.attempt_view import AttemptView
from protocols.events import AttemptStarting, Event
from protocols.ids import AttemptId, WorkerId
from protocols.pulses import Pulses
from protocols.session_changes import Tell
from protocols.session_events import (
    SessionEvent,
    SessionPermission,
    SessionPrompted,
    SessionQuestion,
    SessionRetry,
    SessionStatus,
    SessionTool,
)
from protocols.sight import Sight
from protocols.silence import Policy
from protocols.verdict import Verdict
from tests.session_recordings import fold, play, rows, session_of

W = WorkerId("a")
EPOCH = 1_700_000_000.0
BASE: dict[str, Any] = {"at": EPOCH, "worker": W, "attempt": 1, "session": "ses_1"}


def judged(*events: Event, seconds: float = 5.0) -> Verdict:
    """What is thought of a session so long after this happened."""
    pulses = Pulses()
    starting = AttemptStarting(at=EPOCH, worker=W, attempt=1, id=AttemptId("x"), argv=(), cwd="/", source="session")
    for event in (starting, *events):
        pulses.apply(event, 100.0)
    pulse = pulses.running[W]
    now, verdict = 100.0, None
    while verdict is None or now < 100.0 + seconds:
        now += 5.0
        pulse.see(pulse.wanted(tail=False), Sight(), now, read=True)
        verdict = pulse.judge(Sight(), now, EPOCH + now - 100.0, Policy())
    return verdict


BUSY = SessionStatus(**BASE, status="busy", doing="thinking")
ASKED = SessionPermission(**BASE, id="per_1", state="asked", tool="bash", patterns=("git push",))


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((BUSY,), "thinking"),
        ((SessionStatus(**BASE, status="busy", doing="testing"),), "testing"),
        ((SessionStatus(**BASE, status="busy", doing="reading"),), "reading"),
        (
            (
                SessionPrompted(**BASE, message="m", number=1, text=""),
                SessionTool(**BASE, call="c", name="bash", state="running"),
            ),
            "working",
        ),
        ((BUSY, ASKED), "waiting-permission"),
        ((BUSY, ASKED, SessionPermission(**BASE, id="per_1", state="replied", reply="once")), "thinking"),
        ((BUSY, ASKED, SessionPermission(**BASE, id="per_1", state="gone")), "thinking"),
        ((BUSY, SessionQuestion(**BASE, id="que_1", state="asked", text="Red?")), "waiting-permission"),
        (
            (SessionStatus(**BASE, status="retry"), SessionRetry(**BASE, number=1, message="429", next_at=EPOCH + 60)),
            "waiting-quota",
        ),
        ((SessionRetry(**BASE, number=1, message="429", next_at=EPOCH + 60), BUSY), "thinking"),
        ((BUSY, SessionStatus(**BASE, status="idle")), "idle"),
    ],
)
def test_what_a_session_tells_is_what_it_does(events: tuple[Event, ...], state: str) -> None:
    assert judged(*events).state == state


def test_a_session_that_says_nothing_more_is_quiet_and_then_stalled() -> None:
    assert judged(BUSY, seconds=100.0).state == "quiet"
    assert judged(BUSY, seconds=400.0).state == "stalled"


def test_who_waits_for_an_answer_never_stalls() -> None:
    verdict = judged(BUSY, ASKED, seconds=1000.0)

    assert verdict.state == "waiting-permission"
    assert any("git push" in reason for reason in verdict.reasons)


def told(name: str) -> list[SessionEvent]:
    recorded = rows(name)
    session = fold(session_of(recorded))
    changes = [change for row in recorded for change in play(session, row)]
    return [change.event for change in changes if isinstance(change, Tell)]


def test_a_view_has_the_totals_the_progress_and_the_end_of_each_prompt() -> None:
    simple, todos, again = (AttemptView(1, AttemptId("x"), (), "/", 0.0) for _ in range(3))
    for view, name in ((simple, "simple"), (todos, "todos"), (again, "again")):
        for event in told(name):
            view.apply(event)

    assert simple.session is not None and simple.session.usage is not None
    assert (simple.session.usage.tools, simple.session.usage.commands, simple.session.usage.files) == (5, 2, 2)
    assert todos.progress is not None
    assert (todos.progress.fraction, todos.progress.label) == (0.5, "two")
    assert again.session is not None
    assert (again.session.prompts, [each.outcome for each in again.session.ended]) == (2, ["completed", "completed"])
