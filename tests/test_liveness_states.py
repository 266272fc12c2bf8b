"""The states of a worker, and what they are called where only nine are known."""

from typing import get_args

from protocols.liveness_states import CLASSIC, Classic, State


def test_the_nine_classic_states_are_all_there_and_unknown_is_none_of_them() -> None:
    assert set(CLASSIC) == set(get_args(State))
    assert {classic for classic in CLASSIC.values() if classic} == set(get_args(Classic))
    assert [state for state, classic in CLASSIC.items() if classic == "stuck"] == ["stalled"]
    assert CLASSIC["unknown"] is None
