"""Evidence about workers for tests: made by hand, or anything that Hypothesis can think of."""

import math
from typing import Any

import msgspec
from hypothesis import strategies as st

from protocols.evidence import Evidence, Exit, Mark, Question, Said
from protocols.silence import Policy
from protocols.verdict import Verdict, judge_liveness

__all__ = ["EPOCH", "any_evidence", "evidence", "judge_all", "likely_evidence"]

EPOCH = 1_700_000_000.0


def evidence(now: float, /, **facts: Any) -> Evidence:
    """A worker that was started at 0 and is read, and what the facts add."""
    known: dict[str, Any] = {
        "now": now,
        "wall": EPOCH + now,
        "asked_at": 0.0,
        "started_at": 0.0,
        "reader_at": now,
        **facts,
    }
    if known.get("last_byte") is not None:
        known.setdefault("size", 10)
    return Evidence(**known)


def judge_all(seen: list[Evidence], policy: Policy | None = None) -> list[Verdict]:
    """The verdicts of looks that follow each other."""
    verdicts: list[Verdict] = []
    for each in seen:
        verdicts.append(judge_liveness(each, policy or Policy(), verdicts[-1] if verdicts else None))
    return verdicts


_FLOATS = st.one_of(
    st.floats(), st.floats(0, 2000), st.sampled_from([0.0, 5.0, 1e12, -1e12, 1e308, math.nan, -math.inf])
)
_COUNTS = st.one_of(st.integers(), st.integers(0, 5), st.just(10**5000))
_MARKS = st.builds(Mark, st.sampled_from(["reading", "thinking", "working", "testing"]), st.text(max_size=5))


def _evidence_of(times: st.SearchStrategy[float], counts: st.SearchStrategy[int]) -> st.SearchStrategy[Evidence]:
    maybe = st.none() | times
    return st.builds(
        Evidence,
        now=times,
        wall=times,
        asked_at=times,
        started_at=maybe,
        exit=st.none()
        | st.builds(Exit, times, st.none() | counts, st.sampled_from(["", "SIGKILL"]), st.booleans(), st.booleans()),
        reader_at=maybe,
        last_byte=maybe,
        last_event=maybe,
        last_beat=maybe,
        repeats_since=maybe,
        size=counts,
        rate=times,
        cpu=maybe,
        descendants=counts,
        zombies=counts,
        writers=st.none() | counts,
        blocked=st.sampled_from(["", "no space", "\x1b[2J"]),
        question=st.none() | st.builds(Question, times, st.sampled_from(["permission", "question"])),
        quota_until=maybe,
        children_busy=counts,
        said=st.none() | st.builds(Said, st.sampled_from(["busy", "idle", "done", "failed"]), times),
        mark=st.none() | _MARKS,
    )


def any_evidence() -> st.SearchStrategy[Evidence]:
    """Anything at all that has the right types."""
    return _evidence_of(_FLOATS, _COUNTS)


_ORDINARY = ("silence", "byte", "repetition", "idle cpu", "busy cpu", "full cpu", "reading", "thinking", "testing")
_FACTS = ("question", "answer", "busy", "idle", "done", "quota", "wall jump", "late reader", "unreadable cpu", "exit")


def likely_evidence(*, facts: bool = True, most: int = 25) -> st.SearchStrategy[list[Evidence]]:
    """Looks at one worker, five seconds apart, that do not contradict themselves. Without ``facts``: only output,
    use of CPU and markers change."""
    happening = st.sampled_from((*_ORDINARY, *_FACTS) if facts else _ORDINARY)
    return st.lists(st.tuples(happening, st.integers(1, 15)), min_size=1, max_size=most).map(_played)


def _played(story: list[tuple[str, int]]) -> list[Evidence]:
    seen = [evidence(0.0)]
    for what, looks in story:
        for _ in range(looks):
            last = msgspec.structs.replace(seen[-1], reader_at=seen[-1].now + 5)
            changes = _changes(what, last.now + 5, last)
            seen.append(msgspec.structs.replace(last, now=last.now + 5, **{"wall": last.wall + 5, **changes}))
    return seen


def _changes(what: str, now: float, last: Evidence) -> dict[str, Any]:
    marks: dict[str, Any] = {"reading": Mark("reading"), "thinking": Mark("thinking"), "testing": Mark("testing")}
    output = {"last_byte": now, "size": last.size + 1}
    known: dict[str, dict[str, Any]] = {
        "silence": {},
        "byte": {**output, "repeats_since": None},
        "repetition": {**output, "repeats_since": last.repeats_since or now},
        "idle cpu": {"cpu": 0.01},
        "busy cpu": {"cpu": 0.1},
        "full cpu": {"cpu": 1.0},
        "unreadable cpu": {"cpu": None},
        "question": {"question": last.question or Question(now)},
        "answer": {"question": None},
        "quota": {"quota_until": last.wall + 60},
        "wall jump": {"wall": last.wall + 3600},
        "late reader": {"reader_at": max(now - 60, 0.0)},
        "exit": {"exit": last.exit or Exit(now, 0)},
    }
    if what in marks:
        return {**output, "mark": marks[what]}
    if what in ("busy", "idle", "done"):
        return {"said": msgspec.convert({"word": what, "at": now}, Said)}
    return known[what]
