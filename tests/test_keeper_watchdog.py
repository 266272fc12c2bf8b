"""What a tree uses, against what it may."""

import os
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_process.procfs import Process, read_process
from actors.keeper_process.watchdog import Breach, Watchdog, pause_before_count
from actors.keeper_process.worker_limits import Limits

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def process(pid: int, ticks: int = 0, waited: int = 0, pages: int = 0) -> Process:
    return Process(pid, 1, pid, pid, pid, "S", 1, "x", ticks, waited, pages)


def test_who_stays_below_its_limits_is_left_alone() -> None:
    watchdog = Watchdog(Limits(cpu_time=10.0, memory=100.0 * PAGE))

    assert watchdog.look([process(1, 10 * TICK, pages=100)], []) is None


def test_the_cpu_time_of_all_of_the_tree_counts() -> None:
    watchdog = Watchdog(Limits(cpu_time=10.0))

    assert watchdog.look([process(1, 4 * TICK, 3 * TICK), process(2, 3 * TICK)], []) is None
    assert watchdog.look([process(1, 4 * TICK, 3 * TICK), process(2, 4 * TICK)], []) == Breach(
        "cpu-time", "its processes used 11 s of CPU time, more than 10 s"
    )


def test_the_time_of_a_child_counts_once_however_late_its_parent_waits_for_it() -> None:
    watchdog = Watchdog(Limits(cpu_time=10.0))

    assert watchdog.look([process(1), process(2, 8 * TICK)], []) is None
    assert watchdog.look([process(1)], [process(2, 8 * TICK)]) is None
    assert watchdog.look([process(1, waited=8 * TICK)], []) is None
    assert watchdog.look([process(1, waited=11 * TICK)], []) is not None


def test_what_a_child_used_is_not_forgotten_when_nobody_waits_for_it() -> None:
    watchdog = Watchdog(Limits(cpu_time=10.0))
    for pid in range(2, 5):
        breach = watchdog.look([process(1), process(pid, 4 * TICK)], [])

    assert breach is not None


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 500)), max_size=5), max_size=20))
def test_it_never_counts_more_than_what_was_used(steps: list[list[tuple[int, int]]]) -> None:
    """Each step lets some processes use some time; a process that a step leaves out has ended, and was waited for."""
    used: dict[int, int] = {}
    waited = 0
    watchdog = Watchdog(Limits(cpu_time=0.0))
    for step in steps:
        ended = set(used) - {pid for pid, _ in step}
        waited += sum(used.pop(pid) for pid in ended)
        for pid, more in step:
            used[pid] = used.get(pid, 0) + more
        living = [process(100 + pid, ticks) for pid, ticks in used.items()]
        breach = watchdog.look([process(1, waited=waited), *living], [])
        true = (waited + sum(used.values())) / TICK
        assert (breach is None) == (true == 0)
        assert breach is None or breach.detail.startswith(f"its processes used {true:.3g} s")


def test_memory_that_is_too_much_is_told_with_figures() -> None:
    own = read_process(os.getpid())
    assert own is not None

    breach = Watchdog(Limits(memory=1_000_000.0)).look([own], [])

    assert breach is not None
    assert breach.reason == "memory"
    assert breach.detail.startswith("its 1 process used ")
    assert breach.detail.endswith(" MB of memory, more than 1 MB")


def test_what_ended_meanwhile_uses_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    own = read_process(os.getpid())
    assert own is not None
    gone = own._replace(pages=10**9)

    assert Watchdog(Limits(memory=10.0**12)).look([gone], []) is None  # asked for, it has less


def test_limits_are_looked_at_more_often_but_never_for_more_than_a_twentieth_of_the_time() -> None:
    limited, free = Limits(memory=1.0), Limits()

    assert pause_before_count([]) == inf
    assert pause_before_count([free]) == 2.0
    assert pause_before_count([free, limited]) == 0.25
    assert pause_before_count([free, limited], took=0.1) == 2.0
