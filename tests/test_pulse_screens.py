"""What the screen of a worker adds to the evidence: questions, idleness, and that it only repeats itself."""

import pytest

from protocols.events import WorkerOutput
from protocols.evidence import Mark
from protocols.ids import WorkerId
from protocols.prompts import Kind, Prompt
from protocols.pulse import Pulse
from protocols.pulses import Pulses
from protocols.sight import Glimpse, Sight
from protocols.silence import Policy
from protocols.verdict import Verdict
from tests.made_fleets import started, starting

POLICY = Policy.of(quiet_after=10.0, stalled_after=60.0, heartbeat=5.0)
ASKS = Prompt("question", "Sure? (y/n)")


class Watched:
    """A worker on a terminal, looked at every five seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pulses = Pulses()
        self.pulses.apply(starting("a", source="pty", window=(40, 10)), 0.0)
        self.pulses.apply(started("a"), 0.0)
        self.pulse: Pulse = self.pulses.running[WorkerId("a")]
        self.size = 0

    def look(
        self, prompt: Prompt | None = None, *, settled: bool = True, grown: bool = False, new: bool = False
    ) -> Verdict:
        self.now += 5.0
        if grown:
            self.size += 10
            event = WorkerOutput(
                at=self.now, worker=self.pulse.worker, attempt=1, stream="terminal", offset=self.size - 10, length=10
            )
            self.pulses.apply(event, self.now)
        glimpse = Glimpse(Mark("working", "Running"), prompt, settled, grown, new)
        sight = Sight(spooled=self.size, glimpse=glimpse)
        self.pulse.see(self.pulse.wanted(tail=True), sight, self.now, read=True)
        return self.pulse.judge(sight, self.now, 1000.0 + self.now, POLICY)


def test_the_window_of_a_terminal_is_told_to_who_looks() -> None:
    assert Watched().pulse.wanted(tail=True).window == (40, 10)


@pytest.mark.parametrize("kind", ["permission", "question"])
def test_a_worker_that_asks_waits_and_never_stalls(kind: Kind) -> None:
    watched = Watched()
    watched.look(grown=True, new=True)

    verdicts = [watched.look(Prompt(kind, "Sure?")) for _ in range(40)]

    assert {(verdict.state, verdict.confirmed) for verdict in verdicts} == {("waiting-permission", True)}
    assert verdicts[-1].reasons[0].endswith('3m20s ago: "Sure?"')


def test_a_worker_at_its_prompt_for_orders_is_idle() -> None:
    watched = Watched()

    assert [watched.look(Prompt("idle", "? for shortcuts")).state for _ in range(20)][-1] == "idle"


def test_an_answered_question_is_over_as_soon_as_it_is_not_shown_any_more() -> None:
    watched = Watched()
    watched.look(ASKS, grown=True, new=True)

    verdict = watched.look(None, settled=False, grown=True, new=True)

    assert verdict.state == "working"


def test_what_looks_like_a_question_while_the_screen_changes_is_none() -> None:
    watched = Watched()

    assert watched.look(ASKS, settled=False, grown=True, new=True).state == "working"
    assert watched.look(ASKS).state == "waiting-permission"
    assert watched.look(ASKS, settled=False, grown=True, new=True).state == "waiting-permission"


def test_a_spinner_that_repaints_for_ever_stalls_and_one_new_line_is_work() -> None:
    watched = Watched()
    watched.look(grown=True, new=True)

    spinning = [watched.look(grown=True) for _ in range(20)]
    working = watched.look(grown=True, new=True)

    assert (spinning[-1].state, spinning[-1].confirmed) == ("stalled", True)
    assert any("only repeated itself" in reason for reason in spinning[-1].reasons)
    assert working.state == "working"
