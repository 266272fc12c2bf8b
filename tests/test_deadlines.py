"""The time that an attempt has: warnings, silence, and waiting that is no part of it."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.deadlines import Deadline, Due, Expire, Extend, Terms, Warn
from protocols.errors import PlanError
from protocols.events import RunResumed, WorkerStopping, WorkerVerdict, WorkerWarned
from protocols.ids import WorkerId
from protocols.liveness_states import State
from protocols.plan import Task
from protocols.plan_parser import parse_plan
from protocols.pulse import Pulse
from protocols.pulses import Pulses
from protocols.verdict import Verdict
from tests.made_fleets import output, started, starting

A = WorkerId("a")
BEAT = 5.0


@dataclass
class Watched:
    """One worker, its state as the test says, looked at every 5 seconds."""

    terms: Terms
    timeout: float | None = None
    pulses: Pulses = field(default_factory=Pulses)
    now: float = 100.0
    due: list[tuple[float, Due]] = field(default_factory=list)
    """With the seconds since the start."""

    def __post_init__(self) -> None:
        self.deadline = Deadline(1, self.terms, self.timeout)
        self.pulses.apply(starting("a"), self.now)
        self.pulses.apply(started("a"), self.now)

    @property
    def pulse(self) -> Pulse:
        return self.pulses.running[A]

    def say(self) -> None:
        self.pulses.apply(output("a", offset=self.pulse.size, length=1), self.now)

    def look(self, seconds: float, state: State = "working") -> None:
        """It is in this state for so long."""
        for _ in range(int(seconds / BEAT)):
            if self.pulse.told is None or self.pulse.told[0] != state:
                self.pulse.told = (state, True)
                verdict = WorkerVerdict(at=0.0, worker=A, attempt=1, state=state, confirmed=True, reasons=())
                self.pulse.verdict = Verdict(state, True, (), self.now, self.now)
                self.pulses.apply(verdict, self.now)
            self.now += BEAT
            self.due += [(self.now - 100.0, each) for each in self.deadline.look(self.pulse, self.now)]


def mistakes(said: str) -> tuple[str, ...]:
    with pytest.raises(PlanError) as info:
        parse_plan(f'[agents.x]\n[[tasks]]\nid = "a"\n{said}\n', "x.toml")
    return tuple(problem.removeprefix("x.toml: tasks[0].") for problem in info.value.problems)


def test_a_worker_is_warned_once_before_its_timeout() -> None:
    watched = Watched(Terms(warn_before=30.0, warning="Hurry."), timeout=100.0)

    watched.look(95)

    assert watched.due == [(70.0, Warn(30.0, "Hurry."))]


def test_without_a_text_the_warning_says_how_long_there_is_left() -> None:
    watched = Watched(Terms(warn_before=90.0), timeout=100.0)

    watched.look(10)

    ((_, warn),) = watched.due
    assert warn == Warn(90.0, "Your time is over in 1m30s: finish now, or write down how far you are.")


def test_who_was_warned_by_an_earlier_supervisor_is_not_warned_again() -> None:
    watched = Watched(Terms(warn_before=30.0), timeout=100.0)
    watched.pulses.apply(WorkerWarned(at=0.0, worker=A, attempt=1, left=30.0, text="x"), watched.now)

    watched.look(95)

    assert watched.due == []


def test_silence_is_counted_from_the_last_byte_and_ends_a_worker_once() -> None:
    watched = Watched(Terms(quiet_timeout=60.0))

    watched.look(50)
    watched.say()
    watched.look(55)
    assert watched.due == []

    watched.look(50)
    assert watched.due == [(110.0, Expire("nothing was heard of it for 1m"))]


def test_silence_of_who_could_not_be_watched_does_not_count() -> None:
    watched = Watched(Terms(quiet_timeout=60.0))

    watched.look(50)
    watched.look(500, "unknown")
    watched.look(20)

    assert [moment for moment, _ in watched.due] == [565.0]


@pytest.mark.parametrize("state", ["waiting-permission", "waiting-quota"])
def test_waiting_can_be_excepted_from_both_times(state: State) -> None:
    watched = Watched(Terms(quiet_timeout=60.0, warn_before=10.0, counts_waiting=False), timeout=100.0)

    watched.look(40)
    watched.look(300, state)
    watched.say()
    watched.look(45)

    extensions = [each for _, each in watched.due if isinstance(each, Extend)]
    assert {each.left for each in extensions} == {60.0}
    assert [moment for moment, each in watched.due if isinstance(each, Warn)] == []
    watched.say()
    watched.look(5)
    assert [moment for moment, each in watched.due if isinstance(each, Warn)] == [390.0]


def test_waiting_counts_where_nothing_else_is_said() -> None:
    watched = Watched(Terms(quiet_timeout=60.0), timeout=100.0)

    watched.look(100, "waiting-permission")

    assert [type(each) for _, each in watched.due] == [Expire]


def test_what_was_waited_under_an_earlier_supervisor_holds_and_its_absence_was_no_waiting() -> None:
    watched = Watched(Terms(counts_waiting=False), timeout=100.0)
    watched.look(10)
    watched.look(50, "waiting-permission")
    watched.pulses.apply(output("a", length=1), watched.now)
    watched.now += 1000.0
    watched.pulses.apply(RunResumed(at=0.0, epoch=2, pid=1, version="1"), watched.now)
    watched.now += 20.0

    assert watched.pulse.waited_until(watched.now) == 70.0


def test_whose_end_has_begun_is_left_alone() -> None:
    watched = Watched(Terms(quiet_timeout=10.0, warn_before=90.0), timeout=100.0)
    watched.pulses.apply(WorkerStopping(at=0.0, worker=A, attempt=1, reason="stop", grace=1.0), watched.now)

    watched.look(95)

    assert watched.due == []


@given(st.lists(st.tuples(st.sampled_from(["working", "waiting-quota", "unknown"]), st.integers(1, 20)), max_size=30))
def test_the_time_that_is_left_is_never_more_than_the_timeout(course: list[tuple[State, int]]) -> None:
    watched = Watched(Terms(warn_before=50.0, counts_waiting=False), timeout=100.0)

    for state, beats in course:
        watched.look(beats * BEAT, state)

    assert all(0.0 <= each.left <= 100.0 for _, each in watched.due if isinstance(each, Extend))
    assert sum(isinstance(each, Warn) for _, each in watched.due) <= 1


def test_a_plan_says_all_of_it_on_any_level() -> None:
    text = """
        [defaults]
        timeout = "10m"
        counts_waiting = false
        [[tasks]]
        id = "a"
        command = ["true"]
        stdin = "pipe"
        quiet_timeout = "5m"
        warn_before = "1m"
        warning = "Hurry."
    """
    (task,) = parse_plan(text, "x.toml").tasks

    assert isinstance(task, Task)
    assert task.terms == Terms(quiet_timeout=300.0, warn_before=60.0, warning="Hurry.", counts_waiting=False)


def test_mistakes_about_time_are_told_all_at_once() -> None:
    command, hearing = 'command = ["true"]\n', 'give it source = "pty" or stdin = "pipe", or remove this key'
    assert mistakes(f'{command}warn_before = "1m"') == (
        "warn_before: there is no timeout to warn of; add timeout, or remove this key",
    )
    assert mistakes(f'{command}timeout = "1m"\nwarn_before = "1m"') == (
        "warn_before: warn_before is 1m and timeout is 1m here; make warn_before the shorter one",
    )
    assert mistakes(f'{command}timeout = "2m"\nwarn_before = "1m"') == (
        f"warn_before: nobody could tell it; {hearing}",
    )
    assert mistakes(f'{command}warning = "x"\nquiet_timeout = 5\ncounts_waiting = "no"') == (
        'quiet_timeout: expected a duration, got a number; write "5s"',
        "counts_waiting: expected true or false, got a string",
        "warning: nothing says when; add warn_before, or remove this key",
    )
    assert mistakes('source = "logfile"\nlogfile = { path = "x" }\ncounts_waiting = false') == (
        "counts_waiting: what is only followed has no time of its own; remove this key",
    )
