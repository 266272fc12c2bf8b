"""The table of ``callboard ps``, for none, one and many workers, wide and narrow."""

import subprocess
import sys

import pytest

from actors import cells
from protocols.control import VerdictLine
from protocols.ids import RunId, TaskId
from protocols.kinds import TaskStatus
from protocols.port_results import WorkerLine
from supervisor.worker_reading import Workers
from supervisor.worker_table import render_workers

RUN = RunId("aaaaaaaa")


def line(name: str, status: TaskStatus = "running", **fields: object) -> WorkerLine:
    known = {"attempt": 1, "pid": 4711, "seconds": 65.0, "stdout_bytes": 1200, "role": "reviewer", **fields}
    return WorkerLine(task=TaskId(name), status=status, run=RUN, **known)  # type: ignore[arg-type]


def render(*lines: WorkerLine, everything: bool = False, width: int | None = None) -> list[str]:
    return render_workers(Workers(run=RUN, workers=lines, at=100.0), everything=everything, width=width).splitlines()


def test_where_there_are_none_it_says_how_to_start_one() -> None:
    assert render() == [
        "no workers; start one with: callboard spawn -- COMMAND, or a plan with: callboard submit PLAN.toml"
    ]


def test_one_that_is_stuck_says_so_with_its_reasons() -> None:
    verdict = VerdictLine("stalled", True, ("no output for 9m",), 40.0)

    what = "stalled for 1m; that began with: no output for 9m"
    assert render(line("lint", verdict=verdict, fraction=0.5, label="tests")) == [
        "worker  status   state    role      attempt   pid  time  output  done  what",
        f"lint    running  stalled  reviewer        1  4711  1m5s  1.2 kB   50%  {what}",
    ]


def test_those_that_are_over_are_counted_or_shown() -> None:
    lines = [line("a", "succeeded"), line("b", "failed", reason="exit code 3"), line("c")]

    assert [each.split()[0] for each in render(*lines)] == ["worker", "c", "not"]
    assert render(*lines)[-1] == "not shown: 1 succeeded, 1 failed; see: callboard ps --all"
    assert [each.split()[0] for each in render(*lines, everything=True)] == ["worker", "a", "b", "c"]
    assert render(lines[0]) == ["none is at work: 1 succeeded; see: callboard ps --all"]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 300])
def test_two_hundred_are_two_hundred_lines_as_wide_as_the_terminal_at_most(width: int) -> None:
    lines = [line(f"build/a-long-name-{number}", reason="\x1b[2J waits\nfor a thing " * 9) for number in range(200)]

    table = render(*lines, width=width)

    assert len(table) == 201
    assert max(cells.width(each) for each in table) <= max(width, 60)
    assert "\x1b" not in "".join(table)


def test_whoever_reads_the_journal_loads_nothing_of_the_port() -> None:
    script = (
        "import sys, supervisor.worker_reading, supervisor.event_reading, supervisor.instance_reading\n"
        "import supervisor.attempt_history, supervisor.cli.stop, supervisor.stopping\n"
        "print([name for name in ('starlette', 'structlog', 'h11', 'trio_websocket', 'httpx') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)

    assert done.stdout == "[]\n"
