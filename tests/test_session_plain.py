"""What is told of sessions and of their servers, a line for each thing."""

import pytest

from protocols.events import Event
from protocols.ids import WorkerId
from protocols.server_events import ServerEnded, ServerOther, ServerStarted
from protocols.session_events import SessionPermission, SessionQuestion, SessionRetry, SessionStarted
from protocols.session_plain import server_text, session_text

A = WorkerId("a")
STARTED = ServerStarted(at=1.0, server="c-1", url="http://x", version="1.18.33", boot=1, pid=5)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            SessionStarted(at=1.0, worker=A, attempt=1, session="ses_1", server="http://x", directory="/w"),
            "session ses_1 on http://x",
        ),
        (
            SessionStarted(
                at=1.0, worker=A, attempt=1, session="ses_1", server="http://x", directory="/w", resumed=True
            ),
            None,
        ),
        (
            SessionPermission(
                at=1.0,
                worker=A,
                attempt=1,
                session="ses_1",
                id="per_1",
                state="replied",
                tool="bash",
                patterns=("rm x", "ls"),
                reply="reject",
            ),
            "refused to let it use bash: rm x, ls",
        ),
        (
            SessionQuestion(
                at=1.0, worker=A, attempt=1, session="s", id="q", state="asked", text="Which?", options=("a", "b")
            ),
            "asks: Which? (a / b)",
        ),
        (
            SessionRetry(at=1.0, worker=A, attempt=1, session="s", number=2, message="busy", next_at=0.0),
            "its server tries the model again, try 2: busy",
        ),
    ],
)
def test_what_is_worth_a_line_of_a_session(event: Event, expected: str | None) -> None:
    assert session_text(event) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (STARTED, "server c-1: OpenCode 1.18.33 at http://x, pid 5"),
        (
            ServerStarted(at=1.0, server="c-1", url="http://x", version="9.9.9", boot=1, pid=0),
            "server c-1: OpenCode 9.9.9 at http://x; callboard was tested with 1.18.33",
        ),
        (
            ServerStarted(at=1.0, server="c-1", url="http://x", version="1", boot=2, pid=6),
            "server c-1: answers again at http://x, pid 6",
        ),
        (
            ServerEnded(at=1.0, server="c-1", boot=1, why="it died", again_in=0.5),
            "server c-1: it died; started again in 0.5 s",
        ),
        (ServerEnded(at=1.0, server="c-1", boot=1, why="not needed", again_in=None), None),
        (
            ServerEnded(at=1.0, server="c-1", boot=3, why="it died", again_in=None, given_up=True),
            "server c-1: it died; it is given up",
        ),
        (ServerOther(at=1.0, server="c-1", name="new.thing", count=3), None),
    ],
)
def test_what_is_worth_a_line_of_a_server(event: Event, expected: str | None) -> None:
    assert server_text(event) == expected
