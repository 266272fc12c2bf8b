"""Verdicts on single moments: which state wins, and what is said for it. Whole stories are in `test_traces.py`."""

from math import inf

import msgspec
import pytest

from protocols.evidence import Exit, Mark, Question, Said
from protocols.liveness_states import State
from protocols.silence import Policy
from protocols.verdict import judge_liveness
from tests.made_evidence import EPOCH, evidence, judge_all

POLICY = Policy()


@pytest.mark.parametrize(
    ("facts", "state", "confirmed"),
    [
        ({"started_at": None, "asked_at": 41.0}, "starting", True),
        ({"started_at": None, "asked_at": 40.0}, "quiet", False),
        ({"started_at": 95.0}, "starting", True),
        ({"started_at": 85.0}, "working", True),
        ({"last_byte": 99.0}, "working", True),
        ({"last_byte": 99.0, "mark": Mark("reading")}, "reading", True),
        ({"last_byte": 41.0, "mark": Mark("thinking")}, "thinking", True),
        ({"last_byte": 40.0, "mark": Mark("thinking")}, "quiet", False),
        ({"last_byte": 40.0, "mark": Mark("thinking"), "cpu": 1.0}, "working", True),
        ({"last_byte": 40.0, "mark": Mark("testing"), "cpu": 1.0}, "testing", True),
        ({"last_byte": 99.0, "mark": Mark("thinking"), "cpu": 1.0}, "thinking", True),
        ({"last_byte": 40.0, "cpu": None}, "quiet", False),
        ({"last_byte": 40.0, "said": Said("busy", 99.0)}, "quiet", False),
        ({"last_byte": 40.0, "question": Question(40.0)}, "waiting-permission", True),
        ({"last_byte": 40.0, "question": Question(40.0), "quota_until": inf}, "waiting-permission", True),
        ({"last_byte": 40.0, "question": Question(40.0), "said": Said("idle", 39.0)}, "waiting-permission", True),
        ({"last_byte": 40.0, "question": Question(40.0), "said": Said("idle", 41.0)}, "idle", True),
        ({"last_byte": 40.0, "quota_until": EPOCH + 101}, "waiting-quota", True),
        ({"last_byte": 40.0, "quota_until": EPOCH + 100}, "quiet", False),
        ({"last_byte": 40.0, "said": Said("idle", 40.0)}, "idle", True),
        ({"last_byte": 40.0, "said": Said("idle", 40.0), "children_busy": 1}, "working", True),
        ({"last_byte": 40.0, "said": Said("done", 40.0)}, "complete", False),
        ({"last_byte": 40.0, "said": Said("failed", 40.0)}, "error", False),
        ({"last_byte": 40.0, "said": Said("done", 40.0), "exit": Exit(41.0, 0)}, "complete", True),
        ({"last_byte": 40.0, "said": Said("done", 40.0), "exit": Exit(41.0, 1)}, "error", True),
        ({"said": Said("failed", 40.0), "exit": Exit(41.0, 0)}, "error", True),
        ({"exit": Exit(41.0, 0)}, "complete", True),
        ({"exit": Exit(41.0, 3)}, "error", True),
        ({"exit": Exit(41.0, None, "SIGSEGV")}, "error", True),
        ({"exit": Exit(41.0, None, "SIGTERM", wanted=True)}, "complete", True),
        ({"exit": Exit(41.0)}, "error", True),
        ({"exit": Exit(41.0, reported=False), "descendants": 1}, "unknown", False),
        ({"exit": Exit(41.0, 0), "descendants": 1}, "complete", False),
        ({"exit": Exit(41.0, 0), "writers": 1}, "complete", False),
        ({"exit": Exit(41.0, 0), "reader_at": 41.0}, "complete", False),
        ({"exit": Exit(41.0, 0), "question": Question(40.0), "cpu": 1.0, "descendants": 2}, "complete", False),
        ({"last_byte": 99.0, "reader_at": 50.0}, "unknown", False),
        ({"question": Question(40.0), "reader_at": 50.0}, "unknown", False),
        ({"last_byte": 200.0}, "unknown", False),
    ],
)
def test_one_moment_has_one_verdict(facts: dict[str, object], state: State, confirmed: bool) -> None:
    verdict = judge_liveness(evidence(100.0, **facts), POLICY, None)

    assert (verdict.state, verdict.confirmed) == (state, confirmed)


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        ({"last_byte": 98.0, "rate": 1234.5}, ("last output 2s ago, 1234 B/s",)),
        (
            {"last_byte": 98.0, "mark": Mark("testing", "PASSED\x07")},
            ("last output 2s ago", r'its output shows "PASSED\x07"'),
        ),
        (
            {"last_byte": 9.0, "blocked": "disk\nfull"},
            ("last output 1m31s ago", "its output waits for us to write it", r"disk\nfull"),
        ),
        ({"exit": Exit(90.0, 3), "descendants": 2}, ("exit code 3, 10s ago", "2 of its processes still run")),
        ({"exit": Exit(90.0)}, ("ended without an exit status, 10s ago",)),
        (
            {"exit": Exit(90.0, reported=False), "descendants": 2},
            ("its first process ended 10s ago, and nobody has told how", "2 of its processes still run"),
        ),
        ({"question": Question(40.0, "question")}, ("it asked for an answer 1m ago",)),
        ({"question": Question(40.0, "question", "Go?\x07")}, (r'it asked for an answer 1m ago: "Go?\x07"',)),
        ({"quota_until": EPOCH + 3700}, ("its quota comes back in 1h",)),
    ],
)
def test_the_reasons_hold_the_figures_and_no_control_character(
    facts: dict[str, object], reasons: tuple[str, ...]
) -> None:
    assert judge_liveness(evidence(100.0, **facts), POLICY, None).reasons == reasons


def test_a_suspicion_tells_all_that_was_looked_at_and_what_is_missing() -> None:
    facts = {
        "last_byte": 10.0,
        "last_beat": 95.0,
        "said": Said("busy", 5.0),
        "descendants": 2,
        "zombies": 1,
        "writers": 0,
    }

    verdict = judge_all([evidence(now, **facts) for now in (95.0, 100.0)])[-1]

    assert verdict.reasons == (
        "last output 1m30s ago",
        "its connection lived 5s ago, which says nothing of its work",
        "it called itself busy 1m35s ago",
        "its processes use 0.00 CPUs",
        "2 descendants live",
        "1 of its children ended and it does not wait for them",
        "it has closed its output",
        "nobody watched it until 5s ago",
        "watched for 5s of 5m",
    )


def test_a_state_tells_since_when_on_both_clocks() -> None:
    verdicts = judge_all([evidence(float(now), last_byte=0.0) for now in range(0, 400, 5)])

    assert [(v.state, v.since, v.at - EPOCH) for v in (verdicts[0], verdicts[30], verdicts[-1])] == [
        ("working", 0.0, 0.0),
        ("quiet", 60.0, 60.0),
        ("stalled", 300.0, 300.0),
    ]


def test_nothing_is_confirmed_to_stand_still_that_was_not_suspected_before() -> None:
    policy = Policy(quiet_after=20.0, stalled_after=20.0, settle=0.0)

    verdicts = judge_all([evidence(float(now), last_byte=0.0) for now in range(0, 50, 5)], policy)

    assert [verdict.state for verdict in verdicts] == ["working"] * 4 + ["quiet"] * 2 + ["stalled"] * 4


def test_evidence_that_never_made_sense_has_no_time() -> None:
    first = judge_liveness(evidence(float("nan")), POLICY, None)
    second = judge_liveness(evidence(5.0, last_byte=5.0), POLICY, first)

    assert (first.state, first.since, first.watch) == ("unknown", 0.0, None)
    assert (second.state, second.since) == ("working", 5.0)


def test_a_clock_that_ran_back_keeps_nobody_unknown_for_longer() -> None:
    moments = (1000.0, 1100.0, 500.0, 505.0, 510.0)

    verdicts = judge_all([evidence(now, last_byte=now) for now in moments])

    assert [verdict.state for verdict in verdicts] == ["working", "unknown", "unknown", "unknown", "working"]
    assert verdicts[2].since == 500.0


def test_a_word_of_its_own_changes_the_state_at_once_and_a_flicker_of_cpu_does_not() -> None:
    busy, idle = {"said": Said("busy", 1.0)}, {"said": Said("idle", 4.0)}

    verdicts = judge_all(
        [
            evidence(0.0, last_byte=0.0, **busy),
            evidence(5.0, last_byte=4.0, **idle),
            evidence(10.0, last_byte=4.0, cpu=0.1, **idle),
            evidence(15.0, last_byte=4.0, cpu=0.1, **idle),
            evidence(20.0, last_byte=4.0, **idle),
        ]
    )

    assert [(verdict.state, verdict.confirmed) for verdict in verdicts] == [
        ("working", True),
        ("idle", True),
        ("idle", False),
        ("working", True),
        ("working", False),
    ]


def test_a_verdict_goes_through_json() -> None:
    verdict = judge_all([evidence(float(now), last_byte=0.0) for now in range(0, 100, 5)])[-1]

    assert msgspec.json.decode(msgspec.json.encode(verdict), type=type(verdict)) == verdict
