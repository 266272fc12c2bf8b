"""What was done about a worker that stood still, in words."""

import pytest

from protocols.deeds import list_deeds, tell_deed
from protocols.events import WorkerAction
from protocols.ids import WorkerId
from protocols.liveness_states import Action


def action(what: Action, failed: str = "") -> WorkerAction:
    return WorkerAction(at=1.0, worker=WorkerId("a"), attempt=1, action=what, reason="silent for 5m", failed=failed)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (action("tell"), None),
        (action("nudge"), "a: nudged: silent for 5m"),
        (action("interrupt"), "a: interrupted: silent for 5m"),
        (action("restart"), "a: restarted: silent for 5m"),
        (action("fail"), "a: given up: silent for 5m"),
        (action("nudge", "it has no input"), "a: nudge left out: it has no input"),
    ],
)
def test_each_action_is_a_line_but_telling_itself(event: WorkerAction, line: str | None) -> None:
    assert tell_deed(event) == line


def test_only_what_was_done_is_listed() -> None:
    assert list_deeds([action("tell"), action("nudge", "no input"), action("interrupt"), action("nudge")]) == (
        "interrupted",
        "nudged",
    )
