"""Real and feared stories of workers, each with the right verdict at each moment."""

import re
from pathlib import Path

import msgspec
import pytest

from protocols.verdict import Verdict, judge_liveness
from tests.trace_files import TRACES, Moment, read_trace

HEADER = '{"story": "A.", "source": "B"}\n'


def first_difference(path: Path) -> str:
    """The first moment of a trace at which we judge otherwise, or nothing."""
    header, moments = read_trace(path)
    verdict: Verdict | None = None
    for moment in moments:
        verdict = judge_liveness(moment.evidence, header.policy, verdict)
        if not agrees(moment, verdict):
            return (
                f"{moment.where}: {header.story}\n  expected {moment.state}, confirmed: {moment.confirmed},"
                f" because {moment.because!r}\n  judged   {verdict.state}, confirmed: {verdict.confirmed},"
                f" since {verdict.since:g}, because {'; '.join(verdict.reasons)}"
            )
    return ""


def agrees(moment: Moment, verdict: Verdict) -> bool:
    expected = (moment.state, moment.confirmed)
    return (verdict.state, verdict.confirmed) == expected and moment.because in "; ".join(verdict.reasons)


def test_every_trace_is_judged_as_it_says() -> None:
    found = [difference for path in TRACES if (difference := first_difference(path))]

    assert not found, "\n" + "\n".join(found)


def test_there_are_enough_traces_and_each_tells_its_story_and_source() -> None:
    headers = [read_trace(path)[0] for path in TRACES]

    assert len(TRACES) >= 30
    assert all(header.story.endswith(".") and header.source for header in headers)
    assert sum(re.search(r"\w/[\w-]+#\d+", header.source) is not None for header in headers) >= 15


def test_every_state_has_a_trace() -> None:
    states = {moment.state for path in TRACES for moment in read_trace(path)[1]}

    assert len(states) == 13


@pytest.mark.parametrize(
    "fact", ['"last_bite": 1', '"state": "asleep"', '"cpu": "much"', '"mark": {"doing": "dreaming"}']
)
def test_a_slip_of_the_pen_in_a_trace_is_an_error(tmp_path: Path, fact: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f'{HEADER}{{"from": 0, "state": "working", "confirmed": true, {fact}}}\n')

    with pytest.raises(msgspec.ValidationError):
        read_trace(path)


def test_the_first_moment_that_differs_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        HEADER + '{"from": 0, "to": 5, "started_at": 0, "state": "starting", "confirmed": true}\n'
        '{"from": 10, "to": 60, "state": "starting", "confirmed": true}\n'
    )

    difference = first_difference(path)

    assert difference.startswith("x.jsonl:3 at 10: A.\n  expected starting, confirmed: True")
    assert "judged   working" in difference
