"""Events before their session is known: kept in order, in bounds, and given away once."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.early_events import EarlyEvents
from protocols.opencode import Envelope

__all__: list[str] = []


def _event(session: str, at: float, *, parent: str = "", size: int = 1) -> Envelope:
    return Envelope(f"{session}{at}", "x", "", session, parent, b"x" * size, at)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(1, 40)), max_size=40))
def test_what_is_kept_and_what_had_to_go_is_all_that_came(steps: list[tuple[str, int, int]]) -> None:
    early = EarlyEvents(most=5, most_bytes=100, age=20)
    events: list[Envelope] = []
    gone: list[Envelope] = []
    at = 0
    for session, pause, size in steps:
        at += pause
        events.append(_event(session, at, size=size))
        gone += early.add(events[-1])

    kept = sorted(early.take({"a"}) + early.take({"b"}), key=events.index)

    assert gone + kept == events
    assert len(kept) <= 5
    assert sum(len(event.payload) for event in kept) <= 100
    assert all(at - event.at <= 20 for event in kept)
    assert early.take({"a", "b"}) == []


def test_what_is_old_goes_whether_or_not_something_comes() -> None:
    early = EarlyEvents(age=60)
    early.add(_event("a", 0.0))

    assert early.expire(60.0) == []
    assert early.expire(60.1) == [_event("a", 0.0)]


def test_the_family_of_a_session_is_known_from_what_was_kept() -> None:
    early = EarlyEvents()
    for session, parent in (("c", "a"), ("d", "c"), ("e", ""), ("a", "d")):
        early.add(_event(session, 0.0, parent=parent))

    assert early.descendants("a") == {"c", "d"}
    assert early.descendants("e") == set()
