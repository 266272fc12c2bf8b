"""The evidence that records and looks add up to: what is asked for, what is concluded, what is forgotten."""

from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.events import Event, InstanceRecord, Record, SpoolBlocked, SpoolResumed, WorkerVerdict
from protocols.evidence import Mark
from protocols.fleet_events import KeeperLost, KeeperStarted
from protocols.ids import WorkerId
from protocols.liveness_states import State
from protocols.pulse import Pulse
from protocols.pulses import Pulses
from protocols.sight import Sight, Tail, Wanted
from protocols.silence import Policy
from protocols.verdict import Verdict
from tests.made_events import records
from tests.made_fleets import exited, output, started, starting

EPOCH = 1_700_000_000.0
A = WorkerId("a")
POLICY = Policy()
BEAT = 5.0


@dataclass
class Course:
    """One worker that is looked at, as often as the test wants, at each heartbeat."""

    pulses: Pulses = field(default_factory=Pulses)
    now: float = 100.0
    asked: list[Wanted] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.happen(starting("a"), started("a", pid=7, start_ticks=8))

    @property
    def pulse(self) -> Pulse:
        return self.pulses.running[A]

    def happen(self, *events: Event) -> None:
        for event in events:
            self.pulses.apply(event, self.now)

    def look(self, sight: Sight | None = None, *, read: bool = True, tail: bool = True, times: int = 1) -> Verdict:
        """So many heartbeats later. Without ``sight`` nothing special is seen."""
        for _ in range(times):
            self.now += BEAT
            wanted = self.pulse.wanted(tail=tail)
            seen = sight or Sight()
            self.asked.append(wanted)
            self.pulse.see(wanted, seen, self.now, read=read)
            self.verdicts.append(self.pulse.judge(seen, self.now, EPOCH + self.now, POLICY))
        return self.verdicts[-1]

    def states(self) -> list[State]:
        """Without repetitions."""
        found: list[State] = []
        for verdict in self.verdicts:
            found += [verdict.state] if found[-1:] != [verdict.state] else []
        return found


def test_what_is_asked_for_is_the_process_and_each_new_end_of_output_once() -> None:
    course = Course()

    course.look()
    course.happen(output("a", length=5))
    course.look(times=2)
    course.happen(output("a", offset=5, length=2))
    course.look(tail=False)
    course.look()

    assert {(each.worker, each.attempt, each.source, each.process) for each in course.asked} == {(A, 1, "pipe", (7, 8))}
    tails = [None, Tail("stdout", 5, 5, 5, False), None, None, Tail("stdout", 5, 7, 7, True)]
    assert [each.tail for each in course.asked] == tails


def test_only_what_grew_alone_since_the_last_look_is_told_as_that() -> None:
    course = Course()

    for event in (
        output("a", length=5),
        output("a", stream="stderr", length=3),
        output("a", stream="stderr", offset=3, length=1),
        output("a", offset=5, length=1),
    ):
        course.happen(event)
        course.look()
    course.happen(output("a", stream="stderr", offset=4, length=1), output("a", offset=6, length=1))
    course.look()

    assert [each.tail for each in course.asked] == [
        Tail("stdout", 5, 5, 5, False),
        Tail("stderr", 3, 3, 8, False),
        Tail("stderr", 3, 4, 9, True),
        Tail("stdout", 6, 6, 10, False),
        Tail("stdout", 6, 7, 12, False),
    ]


def test_output_that_only_repeats_itself_does_not_keep_it_from_being_quiet_and_stalled() -> None:
    course = Course()

    for second in range(80):
        course.happen(output("a", offset=second, length=1))
        course.look(Sight(spooled=second, new=second == 0))

    assert course.states() == ["working", "quiet", "stalled"]
    assert "its output has only repeated itself since 6m35s ago" in course.verdicts[-1].reasons


def test_what_the_workers_of_an_instance_do_is_a_sign_of_its_life() -> None:
    course = Course()

    for number in range(100):
        told = output("x", offset=number, length=1)
        course.happen(InstanceRecord(at=EPOCH, worker=A, path="a", numbers=(number,), event=told))
        course.look()
    assert "stalled" not in course.states() and "quiet" not in course.states()

    course.look(times=100)
    assert course.states()[-1] == "stalled"


def test_something_new_among_the_repetitions_is_a_sign_of_life() -> None:
    course = Course()

    for second in range(30):
        course.happen(output("a", offset=second, length=1))
        course.look(Sight(spooled=second, new=second in (0, 20)))

    assert course.states() == ["working", "quiet", "working"]


def test_who_fell_silent_after_repetitions_is_as_silent_as_since_they_began() -> None:
    course = Course()

    for second in range(8):
        course.happen(output("a", offset=second, length=1))
        course.look(Sight(new=second == 0))
    verdict = course.look(times=6)

    assert verdict.state == "quiet"
    assert verdict.reasons[0] == "last output 1m5s ago"


def test_who_asks_waits_until_there_is_other_output_or_it_computes() -> None:
    course = Course()

    course.happen(output("a", length=5))
    first = course.look(Sight(asks="Proceed? [y/n]"))
    later = course.look(times=100)
    busy = course.look(Sight(cpu=5.0))
    idle = course.look(Sight(cpu=5.0), times=4)
    course.happen(output("a", offset=5, length=1))
    after = course.look(Sight(cpu=5.0))

    states = [verdict.state for verdict in (first, later, busy, idle, after)]
    assert states == ["waiting-permission", "waiting-permission", "working", "waiting-permission", "working"]
    assert later.confirmed
    assert later.reasons == ('it asked for an answer 8m25s ago: "Proceed? [y/n]"',)


def test_a_mark_holds_until_there_is_other_output() -> None:
    course = Course()

    course.happen(output("a", length=5))
    marked = course.look(Sight(mark=Mark("testing", "PASS ")))
    still = course.look(times=3)
    course.happen(output("a", offset=5, length=5))
    other = course.look(Sight(mark=Mark("reading", "Read ")), times=3)

    assert (marked.state, still.state, other.state) == ("testing", "testing", "reading")


def test_use_of_cpu_is_what_the_tree_used_lately() -> None:
    course = Course()

    for second in range(40):
        course.look(Sight(cpu=min(second, 20) * BEAT * 0.06))
    verdict = course.verdicts[-1]

    busy = [any("0.06 CPUs" in reason for reason in each.reasons) for each in course.verdicts]
    assert busy[5:20] == [True] * 15
    assert course.states() == ["starting", "working", "quiet"]
    assert "its processes use 0.00 CPUs" in verdict.reasons


def test_figures_of_too_large_a_tree_prove_no_standstill() -> None:
    course = Course()

    verdict = course.look(Sight(partial=True), times=100)

    assert verdict.state == "quiet"
    assert "its use of CPU cannot be read" in verdict.reasons


def test_where_output_lies_on_disk_and_in_no_record_nobody_reads() -> None:
    course = Course()

    course.look(Sight(spooled=10), times=5)
    course.happen(output("a", length=10))
    course.look(Sight(spooled=10), times=5)

    assert course.states() == ["starting", "working", "unknown", "working"]


def test_a_leader_that_is_gone_is_told_as_that_where_its_end_is_overdue() -> None:
    course = Course()
    course.look(times=4)

    gone = Sight(alive=False, descendants=1)
    course.look(gone)
    endings = [course.pulse.is_ending(course.now, POLICY)]
    verdict = course.look(gone, times=4)
    endings.append(course.pulse.is_ending(course.now, POLICY))

    assert endings == [True, False]
    assert (verdict.state, verdict.confirmed) == ("unknown", False)
    assert verdict.reasons == (
        "its first process ended 20s ago, and nobody has told how",
        "1 of its processes still run",
    )


def test_a_full_disk_explains_a_silence_until_it_takes_more() -> None:
    course = Course()
    blocked = SpoolBlocked(at=0, worker=A, attempt=1, stream="stdout", error="No space left on device")

    course.happen(blocked)
    course.look(times=30)
    course.happen(SpoolResumed(at=0, worker=A, attempt=1, stream="stdout"))
    course.look(times=20)
    course.happen(blocked, KeeperLost(at=0, pid=1, reason="killed"))
    course.look(times=2)

    assert course.states() == ["starting", "working", "quiet"]
    assert course.pulse.blocked == {}


def test_who_keeps_the_workers_is_known() -> None:
    pulses = Pulses()

    pulses.apply(KeeperStarted(at=0, pid=7, generation=1), 0.0)
    first = pulses.keeper
    pulses.apply(KeeperLost(at=0, pid=7, reason="killed"), 0.0)

    assert (first, pulses.keeper) == (7, None)


def test_a_new_attempt_knows_nothing_of_the_one_before_and_late_records_of_that_change_nothing() -> None:
    course = Course()
    course.happen(output("a", length=5))
    course.look(Sight(mark=Mark("testing", "PASS ")))

    course.happen(exited("a"), starting("a", 2))
    course.happen(output("a", 1, offset=5, length=5), started("a", 1), exited("a", 1))
    verdict = course.look()

    assert course.asked[-1] == Wanted(A, 2, "pipe", None, None)
    assert verdict.reasons == ("its start was asked for 5s ago",)


def test_what_another_one_told_is_known_but_not_believed() -> None:
    course = Course()
    stalled = WorkerVerdict(at=0, worker=A, attempt=1, state="stalled", confirmed=True, reasons=("x",))

    course.happen(stalled)
    told = course.pulse.told
    verdict = course.look()

    assert (told, verdict.state) == (("stalled", True), "starting")


@given(records)
def test_no_record_in_any_order_is_too_odd(found: list[Record]) -> None:
    pulses, now = Pulses(), 100.0

    for record in found:
        pulses.apply(record.event, now)
        for pulse in pulses.running.values():
            now += BEAT
            wanted = pulse.wanted(tail=True)
            pulse.see(wanted, Sight(), now, read=True)
            verdict = pulse.judge(Sight(), now, EPOCH + now, POLICY)
            assert msgspec.json.encode(verdict.reasons)
            assert wanted.tail is None or wanted.tail.since <= wanted.tail.end <= wanted.tail.size


_SIGHTS = st.builds(
    Sight,
    alive=st.just(True),
    cpu=st.sampled_from([0.0, 1.0, None]),
    descendants=st.integers(0, 2),
    zombies=st.integers(0, 2),
    mark=st.none() | st.just(Mark("testing")),
    asks=st.none() | st.just("Proceed?"),
    new=st.booleans(),
)
_STEPS = st.lists(
    st.tuples(st.sampled_from(["", "stdout", "stderr"]), st.integers(1, 9), _SIGHTS, st.booleans()), max_size=60
)


@given(_STEPS)
def test_what_is_watched_without_a_break_is_never_unknown_and_each_byte_is_read_once(
    steps: list[tuple[str, int, Sight, bool]],
) -> None:
    course = Course()
    ends = {"stdout": 0, "stderr": 0}

    for stream, length, sight, tail in steps:
        if stream:
            course.happen(output("a", stream=stream, offset=ends[stream], length=length))  # type: ignore[arg-type]
            ends[stream] += length
        course.look(sight._replace(spooled=sum(ends.values())), tail=tail)

    assert "unknown" not in course.states()
    tails = [each.tail for each in course.asked if each.tail is not None]
    for before, after in pairwise(tails):
        assert after.size > before.size
        assert not after.alone or (after.since, after.size - after.end) == (before.end, before.size - before.end)


@pytest.mark.parametrize("seconds", [0.05, 5.0, 60.0])
def test_any_heartbeat_that_may_be_set_makes_sense_of_a_worker_that_prints_now_and_then(seconds: float) -> None:
    course, policy = Course(), Policy.of(quiet_after=240, stalled_after=600, heartbeat=seconds)

    for number in range(100):
        if number % 3 == 0:
            course.happen(output("a", offset=number, length=3))
        course.now += seconds
        course.pulse.see(course.pulse.wanted(tail=True), Sight(), course.now, read=True)
        course.verdicts.append(course.pulse.judge(Sight(), course.now, EPOCH + course.now, policy))

    assert course.states() == ["working"]
