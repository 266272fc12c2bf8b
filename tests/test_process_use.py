"""What processes take, from two looks."""

import os

from actors.keeper_process.procfs import Process
from supervisor.process_use import Meter, Use

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def process(pid: int, ppid: int, seconds: float = 0.0, waited: float = 0.0, pages: int = 0) -> Process:
    used = (int(seconds * TICKS), int(waited * TICKS), pages)
    return Process(pid, ppid, pid, pid, 1, "S", 1, "x", *used)


def test_a_worker_is_its_first_process_and_all_that_descend_from_it() -> None:
    meter = Meter()
    before = [process(10, 1, 1.0, pages=3), process(11, 10, 2.0, pages=4), process(12, 11, 0.0), process(20, 1, 9.0)]
    after = [process(10, 1, 2.0, waited=2.5, pages=3), process(12, 1, 5.0), process(20, 1, 9.0)]

    assert meter.measure(before, {10}, 100.0) == {10: Use(None, 7 * PAGE, 3)}
    assert meter.measure(after, {10}, 102.0) == {10: Use(0.75, 3 * PAGE, 1)}


def test_one_that_is_gone_is_missing_and_one_that_is_new_has_no_cpu_yet() -> None:
    meter = Meter()
    meter.measure([process(10, 1, 1.0)], {10}, 100.0)

    assert meter.measure([process(20, 1, 5.0)], {10, 20}, 101.0) == {20: Use(None, 0, 1)}


def test_the_real_one_finds_ourselves() -> None:
    found = Meter().look({os.getpid()}, 1.0)

    assert found[os.getpid()].memory > 1_000_000
