"""The way one attempt ends, without processes: only what is told and what is ordered."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_process.ladder import AFTER_LEADER, CLEAN_LOOKS, Ladder, Order, Phase


def make(*, not_after: float = inf, grace: float = 10.0, linger: float = 2.0) -> Ladder:
    return Ladder(not_after=not_after, grace=grace, linger=linger)


def test_an_exit_with_nothing_left_is_the_end() -> None:
    ladder = make()
    ladder.exited(1.0)

    assert ladder.advance(1.0, left=False, open_streams=False) is Order.END
    assert ladder.reason == "exit"


def test_output_gets_its_time_after_the_exit() -> None:
    ladder = make(linger=2.0)
    ladder.exited(1.0)

    assert ladder.advance(1.0, left=False, open_streams=True) is None
    assert not ladder.wants_look(2.9, open_streams=True)
    assert ladder.due == 3.0
    assert ladder.advance(3.0, left=False, open_streams=True) is Order.FINISH
    assert ladder.advance(3.1, left=False, open_streams=True) is None
    assert ladder.advance(3.2, left=False, open_streams=False) is Order.END


def test_what_outlives_its_linger_gets_term_then_kill() -> None:
    ladder = make(linger=2.0)
    ladder.exited(1.0)

    assert ladder.advance(1.0, left=True, open_streams=False) is None
    assert ladder.advance(3.0, left=True, open_streams=False) is Order.TERM
    assert ladder.due == 3.0 + AFTER_LEADER
    assert ladder.advance(3.2, left=True, open_streams=False) is None
    assert ladder.advance(3.5, left=True, open_streams=False) is Order.KILL
    assert ladder.reason == "exit"


def test_a_stop_is_term_once_then_kill_again_and_again() -> None:
    ladder = make()

    assert ladder.stop(0.0, 5.0, "stop")
    orders = [ladder.advance(at, left=True, open_streams=True) for at in (0.0, 1.0, 5.0, 5.1)]

    assert orders == [Order.TERM, None, Order.KILL, Order.KILL]
    assert ladder.reason == "stop"


def test_a_timeout_can_be_moved_until_the_end_has_begun() -> None:
    ladder = make(not_after=10.0, grace=5.0)
    ladder.extend(9.0, 20.0)

    assert ladder.due == 29.0
    assert ladder.advance(10.0, left=True, open_streams=True) is None
    assert ladder.advance(29.0, left=True, open_streams=True) is Order.TERM
    ladder.extend(30.0, 100.0)
    assert ladder.due == 34.0
    assert ladder.reason == "timeout"


def test_a_stop_without_grace_is_kill() -> None:
    ladder = make()
    ladder.stop(0.0, 0.0, "stop")

    assert ladder.advance(0.0, left=True, open_streams=True) is Order.KILL


@pytest.mark.parametrize(("grace", "expected"), [(5.0, 0.2 + AFTER_LEADER), (0.3, 0.3)])
def test_when_the_leader_obeys_the_rest_gets_little_more(grace: float, expected: float) -> None:
    ladder = make()
    ladder.stop(0.0, grace, "stop")
    ladder.advance(0.0, left=True, open_streams=True)

    ladder.exited(0.2)

    assert ladder.due == pytest.approx(expected)


def test_a_stop_is_over_only_when_several_looks_were_clean() -> None:
    ladder = make()
    ladder.stop(0.0, 0.0, "stop")
    ladder.advance(0.0, left=True, open_streams=False)
    ladder.exited(0.1)

    looks = [ladder.advance(0.1, left=False, open_streams=False) for _ in range(CLEAN_LOOKS)]

    assert looks == [None] * (CLEAN_LOOKS - 1) + [Order.END]


def test_between_clean_looks_no_time_is_lost() -> None:
    ladder = make()
    ladder.stop(0.0, 5.0, "stop")
    ladder.exited(0.1)

    ladder.advance(0.1, left=False, open_streams=False)

    assert ladder.due == -inf
    assert ladder.wants_look(0.1, open_streams=False)


def test_something_new_makes_the_looks_count_from_the_start() -> None:
    ladder = make()
    ladder.stop(0.0, 0.0, "stop")
    ladder.exited(0.0)

    left = [True, False, False, True, False, False, False]
    orders = [ladder.advance(float(at), left=some, open_streams=False) for at, some in enumerate(left)]

    assert orders == [Order.KILL, None, None, Order.KILL, None, None, Order.END]


def test_pipes_that_somebody_else_holds_are_finished_once_the_tree_is_gone() -> None:
    ladder = make()
    ladder.stop(0.0, 0.0, "stop")
    ladder.exited(0.0)

    orders = [ladder.advance(1.0, left=False, open_streams=True) for _ in range(CLEAN_LOOKS)]

    assert orders[-1] is Order.FINISH
    assert ladder.phase is Phase.CLOSING


def test_a_timeout_is_a_stop_of_its_own() -> None:
    ladder = make(not_after=60.0, grace=10.0)

    assert not ladder.wants_look(59.0, open_streams=True)
    assert ladder.wants_look(60.0, open_streams=True)
    assert ladder.advance(60.0, left=True, open_streams=True) is Order.TERM
    assert (ladder.reason, ladder.due) == ("timeout", 70.0)


def test_an_exit_before_the_timeout_is_an_exit() -> None:
    ladder = make(not_after=60.0, linger=100.0)
    ladder.exited(59.0)

    assert ladder.advance(61.0, left=True, open_streams=True) is None
    assert ladder.reason == "exit"


def test_a_stop_said_again_can_only_hurry() -> None:
    ladder = make()

    changes = [ladder.stop(0.0, grace, reason) for grace, reason in [(10, "stop"), (20, "orphaned"), (1, "timeout")]]

    assert changes == [True, False, True]
    assert (ladder.due, ladder.reason) == (1.0, "stop")


def test_a_stop_after_the_exit_hurries_what_is_left_and_gives_no_other_reason() -> None:
    ladder = make(linger=100.0)
    ladder.exited(0.0)

    assert ladder.stop(1.0, 50.0, "stop")

    assert ladder.due == 1.0 + AFTER_LEADER
    assert ladder.advance(1.0, left=True, open_streams=True) is Order.TERM
    assert ladder.reason == "exit"


_EVENTS = st.lists(st.sampled_from(["stop", "hurry", "exit", "gone", "eof", "fork", "time"]), max_size=40)


@given(events=_EVENTS, not_after=st.sampled_from([inf, 3.0]))
def test_whatever_happens_it_ends_once_all_is_gone_and_never_before(events: list[str], not_after: float) -> None:
    ladder = make(not_after=not_after)
    now, leader, left, streams = 0.0, True, True, True
    orders: list[Order | None] = []
    for event in [*events, "stop", "exit", "gone", *["time"] * 10, "eof", *["time"] * 10]:
        now += 1.0 if event == "time" else 0.01
        if event == "stop":
            ladder.stop(now, 1.0, "stop")
        elif event == "hurry":
            ladder.stop(now, 0.0, "stop")
        elif event == "exit" and leader:
            leader = False
            ladder.exited(now)
        elif event == "gone" and not leader:
            left = False
        elif event == "fork" and not orders.count(Order.FINISH):
            left = True
        elif event == "eof" and not leader:
            streams = False
        if Order.END not in orders:
            orders.append(ladder.advance(now, left=left, open_streams=streams))
            if orders[-1] is Order.END:
                assert not leader and not streams
                assert not left or Order.FINISH in orders

    assert left or Order.END in orders
