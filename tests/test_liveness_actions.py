"""The ladder of actions: one step at a time, each once a stall, never on a suspicion, and not for ever."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocols.evidence import Evidence, Question
from protocols.liveness_actions import Climb, Ladder, climb, read_steps
from protocols.liveness_states import Action, State
from protocols.section import Problems, Section
from protocols.silence import Policy, Watch
from protocols.verdict import Verdict
from tests.made_evidence import any_evidence, evidence, judge_all, likely_evidence

ALL: tuple[Action, ...] = ("tell", "nudge", "interrupt", "restart", "fail")
LADDER = Ladder(steps=ALL)


def taken(
    ladder: Ladder, verdicts: list[Verdict], possible: frozenset[Action] = frozenset(ALL)
) -> list[tuple[float, Action]]:
    """What is done when, over these verdicts."""
    so_far, done = Climb(), []
    for verdict in verdicts:
        so_far = climb(ladder, so_far, verdict, possible)
        if so_far.due is not None:
            done.append((0.0 if verdict.watch is None else verdict.watch.now, so_far.due))
    return done


def silent_until(end: int, *bytes_at: int) -> list[Evidence]:
    """A worker that prints at 0 and at these moments only."""
    moments = range(0, end + 1, 5)
    return [evidence(float(now), last_byte=float(max(at for at in (0, *bytes_at) if at <= now))) for now in moments]


def test_a_stall_brings_one_action_after_the_other_and_then_none() -> None:
    done = taken(LADDER, judge_all(silent_until(2000)))

    assert done == [(300, "tell"), (360, "nudge"), (420, "interrupt"), (480, "restart"), (540, "fail")]


def test_a_role_chooses_its_steps_and_the_time_between_them() -> None:
    ladder = Ladder(steps=("tell", "fail"), pause=600.0)

    assert taken(ladder, judge_all(silent_until(2000))) == [(300, "tell"), (900, "fail")]
    assert taken(Ladder(steps=()), judge_all(silent_until(2000))) == []


def test_what_a_worker_cannot_take_is_left_out_without_waiting_for_it() -> None:
    possible: frozenset[Action] = frozenset(("tell", "restart"))

    assert taken(LADDER, judge_all(silent_until(2000)), possible) == [(300, "tell"), (360, "restart")]


def test_a_worker_that_comes_back_for_a_moment_goes_on_where_the_ladder_was_left() -> None:
    done = taken(LADDER, judge_all(silent_until(1000, 370)))

    assert done == [(300, "tell"), (360, "nudge"), (670, "interrupt"), (730, "restart"), (790, "fail")]


def test_a_worker_that_was_well_for_long_enough_begins_anew() -> None:
    well = range(370, 500, 5)

    done = taken(Ladder(steps=("tell", "nudge")), judge_all(silent_until(1000, *well)))

    assert done == [(300, "tell"), (360, "nudge"), (795, "tell"), (855, "nudge")]


def test_health_with_a_suspicion_in_it_is_no_health() -> None:
    ladder = Ladder(steps=("tell", "nudge"), health=100.0)

    done = taken(ladder, judge_all(silent_until(1000, 370, 450)))

    assert done == [(300, "tell"), (360, "nudge")]


def test_what_seemed_to_help_is_not_done_for_ever() -> None:
    moments = [at for start in range(310, 40000, 600) for at in range(start, start + 130, 5)]

    done = taken(Ladder(steps=("tell", "nudge", "restart")), judge_all(silent_until(6000, *moments)))

    actions = [action for _, action in done]
    assert (actions.count("nudge"), actions.count("restart")) == (3, 3)
    assert actions.count("tell") >= 8


def test_a_pending_question_stops_the_ladder_and_is_no_health() -> None:
    seen = [
        evidence(each.now, last_byte=0.0, question=Question(330.0) if 330 <= each.now < 600 else None)
        for each in silent_until(1000)
    ]

    assert taken(LADDER, judge_all(seen)) == [(300, "tell"), (895, "nudge"), (955, "interrupt")]


def test_the_reason_tells_how_long_it_is_silent_and_what_did_not_help() -> None:
    so_far, reasons = Climb(), []
    for verdict in judge_all(silent_until(430)):
        so_far = climb(Ladder(steps=("tell", "nudge")), so_far, verdict)
        if so_far.reason and so_far.reason not in reasons:
            reasons.append(so_far.reason)

    assert reasons == [
        "silent for 5m",
        'silent for 6m; "tell" 1m ago did not help for long',
        'no action is left; the last was "nudge"',
    ]


def test_a_clock_that_ran_back_delays_the_next_step_by_one_pause_at_most() -> None:
    watches = [Watch(now=now, wall=now, sign=0.0, unseen=0.0, broken_at=0.0) for now in (1000.0, 500.0, 555.0, 560.0)]

    done = taken(LADDER, [Verdict("stalled", True, ("because",), 0.0, 0.0, watch) for watch in watches])

    assert done == [(1000, "tell"), (560, "nudge")]


def test_after_the_last_word_nothing_follows() -> None:
    ladder = Ladder(steps=("fail", "tell"))

    assert taken(ladder, judge_all(silent_until(2000))) == [(300, "fail")]


def test_an_action_that_stands_twice_is_taken_once() -> None:
    ladder = Ladder(steps=("nudge", "nudge", "tell", "nudge", "fail"))

    assert [action for _, action in taken(ladder, judge_all(silent_until(2000)))] == ["nudge", "tell", "fail"]


@given(st.lists(any_evidence(), max_size=8))
def test_any_verdict_is_taken_and_only_a_confirmed_stall_brings_an_action(seen: list[Evidence]) -> None:
    assert taken(LADDER, judge_all(seen)) == []


@given(likely_evidence(), st.permutations(ALL), st.floats(0, 200), st.floats(0, 200), st.integers(0, 4))
def test_no_action_is_taken_on_a_suspicion_and_all_keep_their_distance(
    seen: list[Evidence], steps: list[Action], pause: float, health: float, most: int
) -> None:
    ladder = Ladder(steps=tuple(steps), pause=pause, health=health, most=most)
    so_far, at = Climb(), -pause
    for verdict in judge_all(seen, Policy(stalled_after=60.0, settle=10.0)):
        so_far = climb(ladder, so_far, verdict)

        if so_far.due is not None:
            assert verdict.state == "stalled" and verdict.confirmed and verdict.watch is not None
            assert so_far.acted_at == verdict.watch.now
            at = verdict.watch.now
        assert all(so_far.taken.count(action) <= most for action in ALL)
        assert so_far.acted_at is None or so_far.acted_at == at


class OneStall(RuleBasedStateMachine):
    """A worker that stalls, comes back, is suspected and asks, for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.ladder = Ladder(steps=("tell", "nudge", "restart", "fail"), pause=60.0, health=120.0, most=2)
        self.now = 0.0
        self.so_far = Climb()
        self.since_health: list[Action] = []
        self.acts: list[float] = []
        self.well_since: float | None = None

    def see(self, state: State, confirmed: bool, looks: int) -> None:
        for _ in range(looks):
            self.now += 5
            watch = Watch(now=self.now, wall=self.now, sign=self.now, unseen=0.0, broken_at=0.0)
            verdict = Verdict(state, confirmed, ("because",), self.now, self.now, watch)
            self.so_far = climb(self.ladder, self.so_far, verdict)
            well = state in ("working", "idle") and confirmed
            self.well_since = (self.now if self.well_since is None else self.well_since) if well else None
            if self.well_since is not None and self.now - self.well_since >= self.ladder.health:
                self.since_health = []
            if self.so_far.due is not None:
                assert state == "stalled" and confirmed
                self.since_health.append(self.so_far.due)
                self.acts.append(self.now)

    @rule(looks=st.integers(1, 60))
    def it_stalls(self, looks: int) -> None:
        self.see("stalled", True, looks)

    @rule(looks=st.integers(1, 60), state=st.sampled_from(["working", "idle"]), confirmed=st.booleans())
    def it_works(self, looks: int, state: State, confirmed: bool) -> None:
        self.see(state, confirmed, looks)

    @rule(
        looks=st.integers(1, 30), state=st.sampled_from(["quiet", "unknown", "waiting-permission", "starting", "error"])
    )
    def it_is_neither(self, looks: int, state: State) -> None:
        self.see(state, state == "waiting-permission", looks)

    @invariant()
    def each_action_comes_once_a_stall_and_in_order(self) -> None:
        places = [self.ladder.steps.index(action) for action in self.since_health]
        assert places == sorted(set(places))

    @invariant()
    def there_is_time_between_actions_of_one_stall(self) -> None:
        last = self.acts[len(self.acts) - len(self.since_health) :]
        assert all(after - before >= self.ladder.pause for before, after in pairwise(last))

    @invariant()
    def nothing_is_done_for_ever(self) -> None:
        assert all(self.so_far.taken.count(action) <= self.ladder.most for action in self.ladder.steps)


TestOneStall = OneStall.TestCase
TestOneStall.settings = settings(max_examples=60, stateful_step_count=30)  # more takes longer than it finds


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        (None, None),
        ([], ()),
        (["tell", "nudge", "interrupt", "restart", "fail"], ALL),
        (["fail"], ("fail",)),
    ],
)
def test_the_steps_of_a_plan_are_read(written: object, steps: tuple[Action, ...] | None) -> None:
    problems = Problems("x.toml")
    table = {} if written is None else {"on_stalled": written}

    assert read_steps(Section(table, "roles.a", problems), "on_stalled") == steps
    assert problems.lines == ()


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("tell", 'expected a list of strings, got a string; write ["tell"]'),
        (["tel"], 'no action "tel"; did you mean "tell"?'),
        (["explode"], 'no action "explode"; write some of "tell", "nudge", "interrupt", "restart", "fail"'),
        (["tell", "tell"], '"tell" stands twice; each action is taken once, remove one'),
        (["fail", "tell"], '"tell" after "fail" is never reached; move "fail" to the end'),
    ],
)
def test_a_wrong_step_is_told_with_what_to_do(written: object, problem: str) -> None:
    problems = Problems("x.toml")

    read_steps(Section({"on_stalled": written}, "roles.a", problems), "on_stalled")

    assert problems.lines == (f"x.toml: roles.a.on_stalled: {problem}",)
