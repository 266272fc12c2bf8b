"""Evidence that cannot be true is told from evidence that can."""

import math

import msgspec
import pytest
from hypothesis import given

from protocols.evidence import Evidence, Exit, Question, Said, contradictions
from tests.made_evidence import any_evidence, evidence


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"started_at": None, "reader_at": None},
        {"last_byte": 100.9, "rate": 10.0},
        {"last_byte": 50.0, "rate": 10.0, "repeats_since": 20.0},
        {"last_byte": 3.0, "last_event": 4.0, "last_beat": 100.0, "cpu": None, "writers": 0, "zombies": 3},
        {"exit": Exit(90.0, 1)},
        {"exit": Exit(99.0, None, "SIGKILL"), "started_at": None},
        {"question": Question(80.0), "quota_until": math.inf, "said": Said("busy", 100.0)},
    ],
)
def test_what_may_be_true_has_no_contradiction(facts: dict[str, object]) -> None:
    assert contradictions(evidence(100.0, **facts)) == []


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"now": math.nan}, "the time is no time"),
        ({"wall": math.inf}, "the time is no time"),
        ({"asked_at": 102.0}, "the request to start it lies in the future"),
        ({"started_at": -math.inf}, "the moment of its start is no time"),
        ({"reader_at": math.nan}, "the moment of the heartbeat of its reader is no time"),
        ({"last_byte": 101.5}, "its last byte lies in the future"),
        ({"last_event": 1e300}, "the moment of its last event is no time"),
        ({"last_beat": 200.0}, "its last keep-alive lies in the future"),
        ({"last_byte": 5.0, "repeats_since": 200.0}, "the first repetition in its output lies in the future"),
        ({"exit": Exit(200.0, 0)}, "its exit lies in the future"),
        ({"question": Question(200.0)}, "its question lies in the future"),
        ({"said": Said("idle", 200.0)}, "its last word lies in the future"),
        ({"rate": -1.0, "last_byte": 99.0}, "its output rate cannot be"),
        ({"cpu": math.nan}, "its use of CPU cannot be"),
        ({"descendants": -1}, "its number of descendants cannot be"),
        ({"zombies": -1}, "its number of zombies cannot be"),
        ({"writers": -1}, "its number of writers cannot be"),
        ({"children_busy": 10**5000}, "its number of busy children cannot be"),
        ({"size": -1}, "its output in all cannot be"),
        ({"exit": Exit(90.0, 10**5000)}, "its exit code cannot be"),
        ({"quota_until": math.nan}, "the end of its quota is no time"),
        ({"quota_until": 1e300}, "the end of its quota is no time"),
        ({"size": 5}, "it has output without a last byte"),
        ({"last_byte": 5.0, "size": 0}, "it has a last byte without output"),
        ({"last_byte": 5.0, "rate": 3.0}, "it has an output rate without output"),
        ({"repeats_since": 5.0}, "it repeats an output that it does not have"),
        ({"started_at": 90.0, "exit": Exit(80.0, 0)}, "it exited before it started"),
    ],
)
def test_what_cannot_be_true_is_told(facts: dict[str, object], problem: str) -> None:
    assert problem in contradictions(evidence(100.0, **facts))


@given(any_evidence())
def test_any_evidence_is_examined_without_an_error(seen: Evidence) -> None:
    assert all(problem and problem.isprintable() for problem in contradictions(seen))


@given(any_evidence())
def test_evidence_goes_through_json_where_it_can_be_true(seen: Evidence) -> None:
    if not contradictions(seen) and seen.quota_until != math.inf:
        assert msgspec.json.decode(msgspec.json.encode(seen), type=Evidence) == seen
