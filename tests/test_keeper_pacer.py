from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_process.pacer import Pacer
from actors.keeper_process.terminal import TerminalEnd

MILLISECOND = 0.001


def test_a_lone_line_is_never_kept_waiting() -> None:
    pacer = Pacer()

    pauses = [pacer.pause(100.0 + second, 80) for second in range(200)]

    assert pauses == [0.0] * 200


def test_a_burst_of_some_lines_is_copied_at_once() -> None:
    pacer = Pacer()

    pauses = [pacer.pause(100.0 + index * 0.1 * MILLISECOND, 80) for index in range(30)]

    assert pauses == [0.0] * 30


def test_many_chatty_workers_are_fetched_together() -> None:
    pacer = Pacer()
    now, rounds = 100.0, 0

    while now < 110.0:
        rounds += 1
        now += 0.15 * MILLISECOND
        now += pacer.pause(now, 80)

    assert 1900 < rounds < 2100


def test_a_fast_stream_never_pauses() -> None:
    pacer = Pacer()
    now = 100.0

    pauses = []
    for _ in range(1000):
        now += 0.05 * MILLISECOND
        pauses.append(pacer.pause(now, 64 * 1024))

    assert pauses == [0.0] * 1000


def test_a_fast_stream_of_small_writes_gets_a_breath_in_which_no_pipe_fills() -> None:
    pacer = Pacer()
    now = 100.0

    pauses = []
    for _ in range(1000):
        now += 0.004 * MILLISECOND
        pauses.append(pacer.pause(now, 1024))

    assert set(pauses[200:]) == {0.05 * MILLISECOND}


def test_the_calm_after_a_flood_is_calm_again() -> None:
    pacer = Pacer()
    for index in range(1000):
        pacer.pause(100.0 + index * 0.05 * MILLISECOND, 64 * 1024)

    pauses = [pacer.pause(101.0 + second, 80) for second in range(10)]

    assert pauses == [0.0] * 10


def test_who_pours_into_a_terminal_is_not_kept_waiting_although_that_holds_little() -> None:
    pacer = Pacer()
    now, pauses = 100.0, []

    for _ in range(200):  # it is full again when we look
        pauses.append(pacer.pause(now, 10 * 1024 * TerminalEnd.weight))
        now += 0.1 * MILLISECOND + pauses[-1]

    assert sum(pauses[20:]) == 0.0


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(0, 1024 * 1024))))
def test_a_pause_is_at_most_five_milliseconds(rounds: list[tuple[float, int]]) -> None:
    pacer = Pacer()
    now = 100.0

    for elapsed, copied in rounds:
        now += elapsed
        pause = pacer.pause(now, copied)
        assert 0.0 <= pause <= 5.0 * MILLISECOND
        now += pause
