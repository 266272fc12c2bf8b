"""What holds of verdicts on any evidence: no error, no flapping, no health by silence, nothing confirmed by a guess."""

from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocols.evidence import Evidence, Exit, Question, Said
from protocols.liveness_states import State
from protocols.silence import Policy, excuses
from protocols.verdict import Verdict, judge_liveness
from tests.made_evidence import any_evidence, evidence, judge_all, likely_evidence

POLICY = Policy()
_BY_FACT: set[State] = {"complete", "error", "unknown", "waiting-permission", "waiting-quota"}
_ENDED_BY_FACT: set[State] = _BY_FACT - {"unknown"} | {"starting", "quiet", "stalled"}
_WELL: set[State] = {"starting", "reading", "thinking", "working", "testing"}


def health(verdict: Verdict) -> int:
    return 2 if verdict.state in _WELL else 1 if verdict.state == "quiet" else 0


@given(st.lists(any_evidence(), max_size=8))
def test_any_evidence_has_a_verdict_with_reasons(seen: list[Evidence]) -> None:
    for verdict in judge_all(seen):
        assert verdict.reasons
        assert all(reason and reason.isprintable() for reason in verdict.reasons)


@given(likely_evidence())
def test_no_suspicion_and_no_doubt_is_ever_confirmed_and_every_stall_is(seen: list[Evidence]) -> None:
    for verdict in judge_all(seen):
        assert not (verdict.state in ("quiet", "unknown") and verdict.confirmed)
        assert verdict.state != "stalled" or verdict.confirmed


@given(likely_evidence())
def test_a_state_holds_unless_a_fact_ends_it(seen: list[Evidence]) -> None:
    for (before, old), (after, new) in pairwise(zip(seen, judge_all(seen), strict=True)):
        if new.state != old.state:
            spoke = (before.said and before.said.word) != (after.said and after.said.word)
            by_fact = new.state in _BY_FACT or (old.state in _ENDED_BY_FACT and new.state != "stalled") or spoke
            assert by_fact or after.now - old.since >= POLICY.hold


@given(likely_evidence(facts=False))
def test_output_and_markers_change_a_state_no_more_often_than_the_policy_allows(seen: list[Evidence]) -> None:
    verdicts = judge_all(seen)

    changes = sum(new.state != old.state for old, new in pairwise(verdicts))
    lasted = seen[-1].now
    assert changes <= 1 + lasted / POLICY.hold + 2 * lasted / POLICY.quiet_after


@given(likely_evidence(facts=False), st.floats(0, 1000), st.floats(0, 1000))
def test_more_silence_never_makes_a_worker_healthier(seen: list[Evidence], gap: float, more: float) -> None:
    previous = judge_all(seen)[-1]
    now = seen[-1].now + 5
    least = evidence(now, last_byte=max(now - gap, 0.0))
    longer = evidence(now, last_byte=max(now - gap - more, 0.0))

    assert health(judge_liveness(longer, POLICY, previous)) <= health(judge_liveness(least, POLICY, previous))


@given(likely_evidence(facts=False), st.integers(1, 150))
def test_a_silence_that_goes_on_only_gets_worse_and_ends_as_a_stall(seen: list[Evidence], looks: int) -> None:
    start, last = seen[-1].now, seen[-1].last_byte
    silent = [evidence(start + 5.0 * look, last_byte=last) for look in range(1, looks)]

    verdicts = judge_all([*seen, *silent])[len(seen) :]

    marks = [health(verdict) for verdict in verdicts]
    assert marks == sorted(marks, reverse=True)
    assert not verdicts or silent[-1].now - start < 320 or verdicts[-1].state == "stalled"


@given(likely_evidence())
def test_an_exit_is_told_at_once_whatever_was_before(seen: list[Evidence]) -> None:
    now = seen[-1].now + 5
    for code, state in ((0, "complete"), (7, "error")):
        assert judge_all([*seen, evidence(now, exit=Exit(now, code))])[-1].state == state


@given(any_evidence(), any_evidence())
def test_the_same_evidence_has_the_same_verdict(first: Evidence, second: Evidence) -> None:
    assert repr(judge_all([first, second])) == repr(judge_all([first, second]))


class OneWorker(RuleBasedStateMachine):
    """A worker that does what it likes, watched by a supervisor on a machine that does the same."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = evidence(0.0)
        self.verdict = judge_liveness(self.seen, POLICY, None)
        self.proof = 0.0
        """The last moment of something that forbids to call it stalled."""

    def look(self, passed: float, **changes: object) -> None:
        now = self.seen.now + passed
        reader_at = now if "reader_at" not in changes else changes.pop("reader_at")
        moved = {"now": now, "wall": self.seen.wall + passed, "reader_at": reader_at, **changes}
        self.seen = msgspec.structs.replace(self.seen, **moved)
        self.verdict = judge_liveness(self.seen, POLICY, self.verdict)
        said = self.seen.said is not None and self.seen.said.word != "busy"
        quota = self.seen.quota_until is not None and self.seen.quota_until > self.seen.wall
        if excuses(self.seen, POLICY) or self.seen.question or said or quota:
            self.proof = now

    @rule(looks=st.integers(1, 80))
    def nothing_happens(self, looks: int) -> None:
        for _ in range(looks):
            self.look(5.0)

    @rule(repeats=st.booleans())
    def it_prints(self, repeats: bool) -> None:
        now = self.seen.now + 5
        since = self.seen.repeats_since if repeats and self.seen.repeats_since is not None else now if repeats else None
        self.proof = self.proof if repeats and self.seen.repeats_since is not None else now
        self.look(5.0, last_byte=now, size=self.seen.size + 1, repeats_since=since)

    @rule(cpu=st.sampled_from([0.0, 0.01, 0.1, 1.0, None]))
    def it_computes(self, cpu: float | None) -> None:
        self.look(5.0, cpu=cpu)

    @rule(asks=st.booleans())
    def it_asks(self, asks: bool) -> None:
        self.look(5.0, question=Question(self.seen.now) if asks else None)

    @rule(word=st.sampled_from(["busy", "idle", "done", None]))
    def it_speaks(self, word: str | None) -> None:
        self.look(5.0, said=None if word is None else msgspec.convert({"word": word, "at": self.seen.now}, Said))

    @rule(seconds=st.sampled_from([0.0, 100.0, 1000.0]))
    def its_quota_ends(self, seconds: float) -> None:
        self.look(5.0, quota_until=self.seen.wall + seconds)

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def the_machine_sleeps_or_its_clock_is_set(self, seconds: float) -> None:
        self.proof = self.seen.now + 5 - (POLICY.stalled_after - POLICY.settle)
        self.look(5.0, wall=self.seen.wall + 5 + seconds)
        assert self.verdict.state == "unknown"

    @rule(seconds=st.floats(16, 5000))
    def nobody_looks(self, seconds: float) -> None:
        self.look(seconds)
        assert self.verdict.state == "unknown"

    @rule(looks=st.integers(4, 100))
    def its_reader_is_late(self, looks: int) -> None:
        late = self.seen.now
        for _ in range(looks):
            self.look(5.0, reader_at=late)
        assert self.verdict.state == "unknown"

    @invariant()
    def a_stall_has_been_watched_in_full(self) -> None:
        if self.verdict.state == "stalled":
            assert self.verdict.confirmed and self.seen.cpu is not None
            assert self.seen.now - self.proof >= POLICY.stalled_after
            assert self.verdict.watch is not None
            assert self.seen.now - self.verdict.watch.broken_at >= POLICY.settle
            assert self.verdict.watch.watched_silence >= POLICY.stalled_after

    @invariant()
    def nobody_who_has_a_reason_is_suspected(self) -> None:
        if self.seen.question is not None and self.seen.said is None:
            assert self.verdict.state not in ("quiet", "stalled")


TestOneWorker = OneWorker.TestCase
TestOneWorker.settings = settings(max_examples=60, stateful_step_count=30)  # more takes longer than it finds


@given(st.floats(0.1, 1e6), st.floats(0.1, 1e6), st.floats(0, 1e6), likely_evidence())
def test_any_figures_of_a_role_keep_the_order_of_suspicion_and_stall(
    quiet: float, stalled: float, hold: float, seen: list[Evidence]
) -> None:
    verdicts = judge_all(seen, Policy(quiet_after=quiet, stalled_after=stalled, hold=hold))

    for old, new in pairwise(verdicts):
        assert new.state != "stalled" or old.state in ("quiet", "stalled")


@given(likely_evidence(facts=False), st.integers(-(10**6), 10**6))
def test_only_differences_of_time_matter(seen: list[Evidence], shift: int) -> None:
    moments = ("now", "asked_at", "started_at", "reader_at", "last_byte", "repeats_since")
    moved = [
        msgspec.structs.replace(
            each, **{name: at + shift for name in moments if (at := getattr(each, name)) is not None}
        )
        for each in seen
    ]

    for verdict, other in zip(judge_all(seen), judge_all(moved), strict=True):
        assert (verdict.state, verdict.confirmed, verdict.reasons) == (other.state, other.confirmed, other.reasons)
