"""What was seen lately is known, what was seen long ago is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.recent import RecentIds

__all__: list[str] = []


@given(st.lists(st.integers(0, 12)), st.integers(1, 6))
def test_at_least_the_last_new_ones_are_known_and_nothing_that_never_came(names: list[int], most: int) -> None:
    recent = RecentIds(most)
    new: list[int] = []
    for name in names:
        expected = name in new[-most:]
        if recent.add(str(name)):
            assert not expected
            new.append(name)
        else:
            assert name in new


def test_what_is_discarded_is_new_again() -> None:
    recent = RecentIds()
    recent.add("a")

    recent.discard("a")

    assert "a" not in recent
    assert recent.add("a")


def test_memory_is_bounded() -> None:
    recent = RecentIds(10)

    known = sum(str(number) in recent for number in range(1000) if recent.add(str(number)) is not None)

    assert known == 1000
    assert sum(str(number) in recent for number in range(1000)) <= 20
