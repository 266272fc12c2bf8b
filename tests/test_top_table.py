"""The table of ``callboard top``."""

import os
from collections.abc import Iterator

from supervisor.top_table import Top, render_top
from supervisor.worker_reading import Workers
from tests.test_worker_table import RUN, line


def top(times: list[float]) -> Top:
    ticks: Iterator[float] = iter(times)
    return Top(clock=lambda: next(ticks))


def test_the_second_look_tells_how_fast_a_worker_prints() -> None:
    look = top([10.0, 12.0]).look
    gone = 2**22 + 1

    first = look(Workers(run=RUN, workers=(line("a", pid=gone, stdout_bytes=1000),), at=0.0))
    second = look(Workers(run=RUN, workers=(line("a", pid=gone, stdout_bytes=4000), line("b", "pending")), at=2.0))

    assert [(each.worker, each.rate) for each in first] == [("a", None)]
    assert [(each.worker, each.rate, each.memory) for each in second] == [("a", 1500.0, None)]
    assert render_top(second, None).splitlines() == [
        "worker  state    time  cpu  memory  procs  output      rate  done  what",
        "a       running  1m5s                      4.0 kB  1.5 kB/s",
    ]


def test_who_takes_most_comes_first_and_another_attempt_begins_anew() -> None:
    look = top([10.0, 12.0]).look
    lines = (line("a", pid=None), line("b", pid=os.getpid()))

    look(Workers(run=RUN, workers=lines, at=0.0))
    second = look(Workers(run=RUN, workers=(lines[1], line("a", pid=None, attempt=2)), at=2.0))

    assert [each.worker for each in second] == ["b", "a"]
    assert second[1].rate is None


def test_where_none_runs_it_says_so() -> None:
    assert render_top([], 80) == "none runs"
