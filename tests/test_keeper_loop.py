import os
import signal
import threading
from collections.abc import Iterator
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_process.loop import Loop, Timers


@pytest.fixture
def loop() -> Iterator[Loop]:
    before = signal.set_wakeup_fd(-1)
    loop = Loop()
    yield loop
    loop.close()
    signal.set_wakeup_fd(before)


def test_a_timer_is_due_once() -> None:
    timers = Timers()
    timers.set("a", 2.0)
    timers.set("b", 1.0)

    assert timers.next() == 1.0
    assert timers.take_due(0.5) == []
    assert timers.take_due(5.0) == ["b", "a"]
    assert timers.take_due(5.0) == []
    assert timers.next() == inf


def test_a_timer_that_was_moved_is_due_at_its_last_moment_only() -> None:
    timers = Timers()
    timers.set("a", 1.0)
    timers.set("a", 3.0)
    timers.set("b", 1.0)
    timers.set("b", inf)
    timers.set("never", inf)

    assert timers.take_due(2.0) == []
    assert timers.next() == 3.0
    assert timers.take_due(3.0) == ["a"]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abc"), st.one_of(st.just(inf), st.integers(0, 9).map(float))), max_size=300
    )
)
def test_timers_are_a_table_of_moments(steps: list[tuple[str, float]]) -> None:
    timers = Timers()
    for key, moment in steps:
        timers.set(key, moment)
    table = {key: moment for key, moment in steps if dict(steps)[key] == moment and moment < inf}

    assert timers.next() == min(table.values(), default=inf)
    assert sorted(timers.take_due(4.0)) == sorted(key for key, moment in table.items() if moment <= 4.0)


def test_timers_that_move_for_ever_need_no_more_room() -> None:
    timers = Timers()

    for moment in range(10_000):
        timers.set("a", float(moment))

    assert timers.next() == 9_999.0
    assert len(timers._heap) < 200


def test_the_loop_calls_back_for_what_can_be_read_or_written(loop: Loop) -> None:
    reader, writer = os.pipe()
    called: list[str] = []
    loop.watch(reader, lambda: called.append("read"))
    loop.wait(0)
    os.write(writer, b"x")
    loop.wait(1)

    loop.watch(reader, lambda: called.append("replaced"))
    loop.wait(1)
    loop.watch(writer, lambda: called.append("write"), write=True)
    loop.forget(reader)
    loop.wait(1)
    loop.watch(writer, lambda: called.append("error"), write=False)
    os.close(reader)
    loop.wait(1)

    loop.forget(writer)
    loop.forget(writer)
    os.close(writer)
    assert called == ["read", "replaced", "write", "error"]


def test_what_was_forgotten_in_this_round_is_not_called_any_more(loop: Loop) -> None:
    pipes = [os.pipe(), os.pipe()]
    called = []

    def once() -> None:
        called.append("one")
        for reader, _ in pipes:
            loop.forget(reader)

    for reader, writer in pipes:
        os.write(writer, b"x")
        loop.watch(reader, once)
    loop.wait(1)

    for pair in pipes:
        for fd in pair:
            os.close(fd)
    assert called == ["one"]


def test_another_thread_and_a_signal_end_the_wait(loop: Loop) -> None:
    before = signal.signal(signal.SIGUSR1, lambda _signo, _frame: None)
    thread = threading.Thread(target=loop.wake)
    thread.start()
    loop.wait(20)
    thread.join()

    os.kill(os.getpid(), signal.SIGUSR1)
    loop.wait(20)
    for _ in range(100_000):
        loop.wake()
    loop.wait(20)

    signal.signal(signal.SIGUSR1, before)
