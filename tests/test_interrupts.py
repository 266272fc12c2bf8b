"""What a person reads about Ctrl-C."""

import pytest

from protocols.events import RunStopping
from protocols.interrupts import tell_interrupt, tell_order
from protocols.states import RunView

_TERM = "TERM was sent to all workers"


@pytest.mark.parametrize(
    ("stopping", "told"),
    [
        (None, "Ctrl-C stops the run: TERM, then KILL after each task's grace; a second one kills at once"),
        (("SIGINT", 10.0, 3.2), f"{_TERM}, KILL follows in 7s at most; Ctrl-C kills at once"),
        (("SIGTERM", 90.0, 0.0), f"{_TERM}, KILL follows in 1m30s at most; Ctrl-C kills at once"),
        (("SIGINT", 10.0, 11.0), f"{_TERM}, KILL follows now; Ctrl-C kills at once"),
        (("stopped by a client", 10.0, 4.0), f"{_TERM}, KILL follows in 6s at most; Ctrl-C, twice, kills at once"),
        (("SIGINT again", 0.0, 4.0), "KILL was sent to all workers; Ctrl-C leaves at once"),
        (("stopped by a client", 0.0, 4.0), "KILL was sent to all workers"),
    ],
)
def test_it_says_what_happens_and_what_the_next_one_does(stopping: tuple[str, float, float] | None, told: str) -> None:
    view, now = RunView(), 100.0
    if stopping is not None:
        reason, grace, ago = stopping
        view.stopping = RunStopping(at=now - ago, reason=reason, grace=grace)

    assert tell_interrupt(view, now) == told


def test_whoever_only_looks_on_can_leave_without_harm() -> None:
    view = RunView(stopping=RunStopping(at=0.0, reason="SIGINT", grace=3.0))

    assert tell_interrupt(view, 1.0, leaves=True) == "Ctrl-C leaves; the run goes on"


def test_an_order_is_told_before_anybody_obeys_it() -> None:
    assert tell_order("SIGINT", None) == "SIGINT: TERM goes to all workers; Ctrl-C kills at once"
    assert tell_order("SIGINT again", 0.0) == "SIGINT again: KILL goes to all workers; Ctrl-C leaves at once"
